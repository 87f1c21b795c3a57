// Package show writes tables of statistics: for people as a table that fits the terminal or as Markdown, and for programs as
// CSV or JSON.
package show
