package main

import (
	"errors"
	"fmt"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// readSecrets checks the settings of files with passwords, and reads the password of the Sentinels. That of Redis is read for each
// connection: see [config.dialOptions]. An embedded Redis has a file of its own: see embeddedPasswordFile.
func (c *config) readSecrets() error {
	// Reading the file only finds faults early: the field stays empty if there is a file.
	redis, err := readSecret("redis_password", c.RedisPassword, c.RedisPasswordFile)
	if c.RedisPasswordFile == "" {
		c.RedisPassword = redis
	}
	sentinel, sentinelErr := readSecret("redis_sentinel_password", c.RedisSentinelPass, c.RedisSentinelFile)
	c.RedisSentinelPass = sentinel
	return errors.Join(err, sentinelErr, c.validateEmbeddedPassword())
}

// readSecret returns the value of a setting, or the only line of the file that is set instead. Errors do not contain it. The name
// is that of the setting without _file.
func readSecret(name, value, file string) (string, error) {
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("'%[1]s' and '%[1]s_file' are both set, want one of them", name)
	}
	text, err := secret.Read(file)
	if err != nil {
		return "", invalid(name+"_file", ": %w", err)
	}
	return text, nil
}

// validateEmbeddedPassword checks the settings of the password of the embedded Redis.
func (c *config) validateEmbeddedPassword() error {
	switch {
	case c.EmbeddedPassword != "" && c.EmbeddedPasswordFile != "":
		return errors.New("'embedded_password' and 'embedded_password_file' are both set, want one of them")
	case c.EmbeddedPassword != "" && len(c.EmbeddedPassword) < minPassword:
		return invalid("embedded_password", ": it has %d bytes, want %d or more", len(c.EmbeddedPassword), minPassword)
	}
	return nil
}

// minPassword is the length of the shortest embedded_password, in bytes. Passwords that the command makes are longer.
const minPassword = 8
