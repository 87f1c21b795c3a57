package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// defaultTokens is the file of tokens that the subcommand token changes if no setting names one.
const defaultTokens = "analytics-api.tokens" //nolint:gosec // the name of a file

// usageOfToken is what token --help prints. A test compares it with the flags.
const usageOfToken = `usage: analytics-api token create --permission PERMISSION [--expiry TIME] [--name TEXT]
       analytics-api token list
       analytics-api token delete ID

  --permission PERMISSION  of the new token, repeated for several
  --expiry TIME            after which the token is invalid, such as 90d (units h, d,
                           w; default: never)
  --name TEXT              that helps people to recognize the token
  --tokens FILE            of the tokens (default: the setting tokens, or else
                           ` + defaultTokens + `)
  --config FILE            of the service, whose setting tokens names the file of the
                           tokens (default analytics-api.toml, if it exists)

A permission is db:NAME[,NAME…]:ACTION[,ACTION…], such as db:mydb:read. A name that
ends with * is a prefix, and * alone means every database. The actions are read,
stream and metrics. system:metrics:read is for the metrics of the service itself.

create prints the token on the standard output, once: only its hash is stored.
`

// tokenCommand is one run of the subcommand token. parse sets the fields below the outputs.
//
// For example:
//
//	$ analytics-api token create --permission db:mydb:read --expiry 90d --name grafana
//	aapi_…                                     on stdout; explanations are on stderr
//	$ analytics-api token list
//	ID        NAME       VALID                       PERMISSIONS
//	qh5ducl7  "grafana"  until 2027-02-24T14:16:52Z  db:mydb:read
type tokenCommand struct {
	now            func() time.Time // the clock, for expiry
	stdout, stderr io.Writer        // results; and explanations, so that the output can be piped

	file        string             // the path of the file of tokens
	permissions []token.Permission // of a new token; create wants one or more
	name        string             // of a new token, for people
	expires     time.Time          // of a new token; zero for never
}

// runToken runs "token create", "token list" or "token delete". It prints a new token to stdout, alone, and everything about it to
// stderr. The id of delete may be before the flags or after them. A running service notices the change of the file by itself.
func runToken(args, environ []string, stdout, stderr io.Writer) error {
	c := tokenCommand{now: time.Now, stdout: stdout, stderr: stderr}
	verb, id := "", ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	// The flag package stops at the first argument that is no flag, so the id is taken away before.
	if verb == "delete" && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		id, args = args[0], args[1:]
	}
	switch err := c.parse(args, environ, &id); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	switch verb {
	case "create":
		return c.create()
	case "list":
		return c.list()
	case "delete":
		return c.delete(id)
	case "-h", "--help", "-help", "help":
		_ = c.parse([]string{"--help"}, nil, &id)
		return nil
	}
	return errors.New("want token create, token list or token delete: token --help explains them")
}

// parse reads the flags, and the id after them if there is one and *id is empty. Without the flag --tokens, it also reads
// the configuration of the service, so that both use the same file; it does not validate the other settings.
func (c *tokenCommand) parse(args, environ []string, id *string) error {
	flags := flag.NewFlagSet("analytics-api token", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	config := flags.String("config", "", "")
	flags.StringVar(&c.file, "tokens", "", "")
	flags.StringVar(&c.name, "name", "", "")
	flags.Func("permission", "", func(text string) error {
		p, err := token.ParsePermission(text)
		c.permissions = append(c.permissions, p)
		return err
	})
	flags.Func("expiry", "", func(text string) error {
		d, err := parseExpiry(text)
		c.expires = c.now().Add(d)
		return err
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(c.stdout, usageOfToken)
		return err
	case err != nil:
		return explainFlag(err, flags, "token --help")
	}
	if rest := flags.Args(); len(rest) == 1 && *id == "" {
		*id = rest[0]
	} else if len(rest) > 0 {
		return errors.New("too many arguments: token --help explains them")
	}
	if c.file != "" {
		return nil
	}
	// Only the file and the environment can have the setting, as the flags are those of the subcommand.
	settings := defaults()
	if err := errors.Join(settings.readFile(*config, environ, make(sources)), settings.readEnvironment(environ, make(sources))); err != nil {
		return err
	}
	if c.file = settings.Tokens; c.file == "" {
		c.file = defaultTokens
	}
	return nil
}

// parseExpiry parses a time such as "90d", "2w" or "12h", or another one that [time.ParseDuration] accepts. A day has 24 hours, and
// numbers of days and weeks are whole. The time is above zero, and at most maxExpiry. For example, 1.5h is valid, and 1.5d is not.
func parseExpiry(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	d, err := time.ParseDuration(text)
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			var n uint64
			n, err = strconv.ParseUint(number, 10, 16)
			// Without the comparison, the multiplication could overflow.
			d = maxExpiry + 1
			if n <= uint64(maxExpiry/unit) {
				d = time.Duration(n) * unit
			}
		}
	}
	switch {
	case err != nil || d <= 0:
		return 0, errors.New("want a time such as 90d, 2w or 12h")
	case d > maxExpiry:
		return 0, errors.New("want at most 36500d; without it the token does not expire")
	}
	return d, nil
}

// maxExpiry is the longest time until a token expires: a hundred years.
const maxExpiry = 36500 * 24 * time.Hour

// create adds a token to the file, and makes the file if it is missing. The token is printed after the file has its hash: a token
// that was printed is valid. If printing fails, the file has a token that nobody knows; it can be deleted by its id.
func (c *tokenCommand) create() error {
	if len(c.permissions) == 0 {
		return errors.New("a token needs a permission, such as --permission db:mydb:read")
	}
	text, made := token.New(c.name, c.permissions, c.now(), c.expires)
	if err := token.Add(c.file, made); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "The token is valid %s. It is not shown again; %s has only its hash.\n", until(made.Expires), c.file)
	fmt.Fprintf(c.stderr, "Clients send it in a header:  Authorization: Bearer TOKEN\n")
	fmt.Fprintf(c.stderr, "The service uses the file if its setting tokens is %q.\n", c.file)
	_, err := fmt.Fprintln(c.stdout, text)
	return err
}

// until returns the time for which a token is valid, for people.
func until(expires time.Time) string {
	if expires.IsZero() {
		return "until it is deleted"
	}
	return "until " + expires.Format(time.RFC3339)
}

// list prints a table of all tokens without their secrets, also of those that have expired. Names are quoted, so that no control
// character in one reaches the terminal.
func (c *tokenCommand) list() error {
	tokens, err := token.List(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: analytics-api token create makes the first token", err)
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tVALID\tPERMISSIONS")
	for _, t := range tokens {
		valid := until(t.Expires)
		if !t.Expires.IsZero() && !c.now().Before(t.Expires) {
			valid = "no, expired"
		}
		texts := make([]string, 0, len(t.Permissions))
		for _, p := range t.Permissions {
			texts = append(texts, p.String())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.ID, strconv.QuoteToGraphic(t.Name), valid, strings.Join(texts, " "))
	}
	return w.Flush()
}

// delete removes the token with an id from the file. An unknown id is an error.
func (c *tokenCommand) delete(id string) error {
	if id == "" {
		return errors.New("want the id of the token: analytics-api token list shows it")
	}
	if err := token.Delete(c.file, id); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stderr, "Deleted the token %s. A running service refuses it within a second or two.\n", id)
	return err
}
