package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

func TestTokenCommandsMakeListAndDeleteTokens(t *testing.T) {
	out, errs, err := runOnce(t, nil, "token", "create", "--permission", "db:mydb:read", "--permission", "system:metrics:read", "--expiry", "90d", "--name", "Grafana\t1")
	require.NoError(t, err)
	require.Regexp(t, `^aapi_[a-z2-7]{8}_[a-z2-7]{32}\n$`, out, "the token is alone on stdout")
	require.Contains(t, errs, "The token is valid until ")
	require.Contains(t, errs, "It is not shown again; analytics-api.tokens has only its hash.")
	require.NotContains(t, errs, strings.TrimSpace(out))
	dir, err := os.Getwd()
	require.NoError(t, err)
	file := filepath.Join(dir, "analytics-api.tokens")
	tokens, err := token.List(file)
	require.NoError(t, err)
	require.Len(t, tokens, 1)
	require.WithinDuration(t, time.Now().Add(90*24*time.Hour), tokens[0].Expires, time.Minute)
	id := tokens[0].ID

	list, _, err := runOnce(t, []string{"ANALYTICS_API_TOKENS=" + file}, "token", "list")
	require.NoError(t, err)
	require.Contains(t, list, id+`  "Grafana\t1"  until `)
	require.Contains(t, list, "db:mydb:read system:metrics:read")
	_, errs, err = runOnce(t, nil, "token", "delete", id, "--tokens", file)
	require.NoError(t, err)
	require.Contains(t, errs, "Deleted the token "+id)
	_, _, err = runOnce(t, nil, "token", "delete", "--tokens", file, id)
	require.ErrorIs(t, err, token.ErrUnknown)
	text, errs, err := runOnce(t, nil, "token", "--help")
	require.NoError(t, err)
	require.Empty(t, errs)
	for _, want := range []string{"analytics-api token create", "  --permission P", "  --expiry T", "  --name T", "  --tokens F", "  --config F", defaultTokens} {
		require.Contains(t, text, want)
	}
}

func TestTokenCommandsReportMistakes(t *testing.T) {
	for command, want := range map[string]string{
		"":                        "want token create, token list or token delete",
		"make":                    "want token create, token list or token delete",
		"create":                  "a token needs a permission, such as --permission db:mydb:read",
		"create --permission x":   `permission "x", want one such as "db:mydb:read"`,
		"create --expiry 0d":      "want a time such as 90d, 2w or 12h",
		"create --expiry -1h":     "want a time such as 90d, 2w or 12h",
		"create --expiry soon":    "want a time such as 90d, 2w or 12h",
		"create --expiry 99999d":  "want a time such as 90d, 2w or 12h",
		"create --expiry 36501d":  "want at most 36500d; without it the token does not expire",
		"create --expiry 35000w":  "want at most 36500d; without it the token does not expire",
		"create --expiry 900000h": "want at most 36500d; without it the token does not expire",
		"create x":                "a token needs a permission",
		"create x y":              "too many arguments",
		"create --permision x":    "unknown flag --permision, did you mean --permission?: token --help lists the flags",
		"list":                    "analytics-api token create makes the first token",
		"delete":                  "want the id of the token: analytics-api token list shows it",
		"list --config /none":     "configuration /none",
	} {
		_, _, err := runOnce(t, nil, append([]string{"token"}, strings.Fields(command)...)...)
		require.ErrorContains(t, err, want, command)
	}
}
