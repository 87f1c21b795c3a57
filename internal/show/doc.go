// Package show writes tables of statistics: for people as a table that fits the terminal or as Markdown, and for programs as
// CSV or JSON.
//
//	              numbers             texts                            empty cells
//	Terminal      six digits          control characters are escapes   nothing
//	Markdown      six digits          the same                         nothing
//	CSV           all digits          as they are                      nothing
//	JSON          all digits          as they are                      null
//
// Texts come from files of others, and a terminal obeys control characters in them: it could be told to write something else, to
// move the cursor or to change its title. What is for people passes through [Clean] therefore. Programs get the texts unchanged,
// except that CSV for a terminal is cleaned too, and JSON escapes control characters in any case.
package show
