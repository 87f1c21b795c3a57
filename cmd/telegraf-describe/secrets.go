package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/awnumar/memguard"
	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// secretsCommand returns the command "secrets" of upstream. Secrets are printed to out as they are; prompts and errors are on os.Stderr, so
// that out can be redirected.
//
// A secret is wiped from memory once it was printed. Copies that the runtime or the writer has made are not. A secret in an argument of
// "set" is in the list of processes, and in the history of the shell; asking for it avoids both.
func secretsCommand(out io.Writer) *cli.Command {
	return &cli.Command{
		Name:   "secrets",
		Usage:  "commands for listing, reading and writing the secrets of secret stores",
		Flags:  secretsFlags(),
		Before: defaultSignals,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the secrets of the stores", ArgsUsage: "[store ID ...]",
				Flags:  append(secretsFlags(), &cli.BoolFlag{Name: "reveal-secret", Usage: "also print the secrets"}),
				Action: func(c *cli.Context) error { return listSecrets(c, out) },
			},
			{
				Name: "get", Usage: "print a secret", ArgsUsage: "<store ID> <key>", Flags: secretsFlags(),
				Action: func(c *cli.Context) error { return getSecret(c, out) },
			},
			{
				Name: "set", Usage: "create or change a secret; without a value, the command asks for it", ArgsUsage: "<store ID> <key> [value]",
				Flags:  secretsFlags(),
				Action: setSecret,
			},
		},
	}
}

// secretsFlags returns new flags. Each subcommand needs its own, because a flag keeps the value that was parsed.
func secretsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "config", Usage: "configuration file or URL to load"},
		&cli.StringSliceFlag{Name: "config-directory", Usage: "directory containing additional *.conf files"},
		&cli.StringFlag{Name: "password", Usage: "password to unlock secret stores"},
	}
}

// secretStores loads the secret stores of the configuration by their IDs, without its inputs and outputs. The filter "-" matches no plugin.
// A store that needs a password gets that of --password.
func secretStores(c *cli.Context) (map[string]telegraf.SecretStore, error) {
	files, err := chosenFiles(c)
	if err != nil {
		return nil, err
	}
	config.ResetSecrets() // Telegraf counts secrets in package variables
	cfg := config.NewConfig()
	cfg.Agent.Quiet = true
	cfg.SecretStoreFilters = newFilters(c).secretstores
	none := []string{"-"}
	cfg.InputFilters, cfg.OutputFilters = none, none
	if err := cfg.LoadAll(files...); err != nil {
		return nil, err
	}
	return cfg.SecretStores, nil
}

// secretStore returns the store that the first argument names. The error for another name lists the known ones.
func secretStore(c *cli.Context) (telegraf.SecretStore, error) {
	stores, err := secretStores(c)
	if err != nil {
		return nil, err
	}
	store, ok := stores[c.Args().First()]
	if !ok {
		return nil, fmt.Errorf("unknown secret store %q, known are %q", c.Args().First(), sorted(stores))
	}
	return store, nil
}

// listSecrets prints the keys of the stores that the arguments name, or of all stores in ascending order of their IDs. It returns the
// error of the first store that cannot be read.
func listSecrets(c *cli.Context, out io.Writer) error {
	stores, err := secretStores(c)
	if err != nil {
		return err
	}
	ids := c.Args().Slice()
	if len(ids) == 0 {
		ids = sorted(stores)
	}
	for _, id := range ids {
		store, ok := stores[id]
		if !ok {
			return fmt.Errorf("unknown secret store %q, known are %q", id, sorted(stores))
		}
		if err := listStore(out, id, store, c.Bool("reveal-secret")); err != nil {
			return fmt.Errorf("secret store %q: %w", id, err)
		}
	}
	return nil
}

// listStore prints the keys of a store in ascending order, and with reveal their values. It wipes each value from memory after printing it.
// The format is that of upstream:
//
//	Known secrets for store "id":
//	    key                             value
func listStore(out io.Writer, id string, store telegraf.SecretStore, reveal bool) error {
	keys, err := store.List()
	if err != nil {
		return err
	}
	slices.Sort(keys)
	fmt.Fprintf(out, "Known secrets for store %q:\n", id)
	for _, key := range keys {
		var value []byte
		if reveal {
			if value, err = store.Get(key); err != nil {
				return fmt.Errorf("secret %q: %w", key, err)
			}
		}
		fmt.Fprintf(out, "    %-30s  %s\n", key, value)
		memguard.WipeBytes(value)
	}
	return nil
}

// getSecret prints one secret, as "id:key = value" in the format of upstream, and wipes it from memory.
func getSecret(c *cli.Context, out io.Writer) error {
	if c.NArg() != 2 {
		return errors.New("want two arguments: the ID of the secret store and the key")
	}
	store, err := secretStore(c)
	if err != nil {
		return err
	}
	key := c.Args().Get(1)
	value, err := store.Get(key)
	if err != nil {
		return fmt.Errorf("secret %q: %w", key, err)
	}
	defer memguard.WipeBytes(value)
	_, err = fmt.Fprintf(out, "%s:%s = %s\n", c.Args().First(), key, value)
	return err
}

// setSecret stores a secret. Without a third argument it asks for the value on a terminal, without an echo, so that the value is not in the
// history of the shell.
func setSecret(c *cli.Context) error {
	if c.NArg() != 2 && c.NArg() != 3 {
		return errors.New("want two or three arguments: the ID of the secret store, the key and the value")
	}
	store, err := secretStore(c)
	if err != nil {
		return err
	}
	value := c.Args().Get(2)
	if c.NArg() == 2 {
		fmt.Fprintf(os.Stderr, "Enter secret value: ")
		b, err := term.ReadPassword(int(os.Stdin.Fd()))
		if err != nil {
			return fmt.Errorf("reading the value: %w", err)
		}
		fmt.Fprintln(os.Stderr)
		value = string(b)
	}
	editor, ok := store.(telegraf.SecretStoreEditor)
	if !ok {
		return fmt.Errorf("secret store %q cannot be written to", c.Args().First())
	}
	return editor.Set(c.Args().Get(1), value)
}
