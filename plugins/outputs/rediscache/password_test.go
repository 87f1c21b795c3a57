package rediscache_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestThePasswordFileIsReadForEachConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Password: "right"})
	file := filepath.Join(t.TempDir(), "password")
	r, _ := output(t, server.Addr(), fmt.Sprintf("  password_file = %q", file))
	require.ErrorContains(t, r.Connect(), "open "+file)
	require.NoError(t, os.WriteFile(file, []byte("wr0ng\n"), 0o600))
	err := r.Connect()
	require.ErrorContains(t, err, "WRONGPASS")
	require.NotContains(t, err.Error(), "wr0ng")
	require.NoError(t, os.WriteFile(file, []byte("right\n"), 0o600))
	require.NoError(t, r.Connect())
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.NoError(t, r.Close())

	err = load(t, "[[outputs.rediscache]]\n  database = \"db\"\n  password = \"S3cretPW\"\n  password_file = \"/f\"\n").Init()
	require.ErrorContains(t, err, `invalid 'password_file' setting with a password, want one of them`)
	require.NotContains(t, err.Error(), "S3cretPW")
}

func TestNoErrorHasASecretInPlaceOfItsFile(t *testing.T) {
	t.Parallel()
	r, _ := output(t, redistest.Server(t).Addr(), `  password_file = "S3cretPW"`)
	err := r.Connect()
	require.ErrorContains(t, err, "want the path of a file")
	require.NotContains(t, err.Error(), "S3cretPW")
	err = load(t, "[[outputs.rediscache]]\n  database = \"db\"\n  password = \"p\"\n  password_file = \"S3cretPW\"").Init()
	require.Error(t, err)
	require.NotContains(t, err.Error(), "S3cretPW")
}

func TestThePasswordOfALocalRedisIsFoundUnlessOneIsGiven(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	server := redistest.Start(t, redisserver.Options{Password: "right"})
	published, err := redisserver.Publish(server.Addr(), "right")
	require.NoError(t, err)
	r, _ := connected(t, server.Addr(), "")
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	for _, options := range []string{"  password = \"wrong\"", "  username = \"u\"\n  password = \"wrong\""} {
		r, _ := output(t, server.Addr(), options)
		require.ErrorContains(t, r.Connect(), "WRONGPASS")
	}
	require.NoError(t, published.Close())
	r, _ = output(t, server.Addr(), "")
	require.ErrorContains(t, r.Connect(), "NOAUTH")

	plain := redistest.Server(t)
	stale, err := redisserver.Publish(plain.Addr(), "old")
	require.NoError(t, err)
	require.NoError(t, stale.Close())
	require.NoError(t, os.WriteFile(stale.Path, []byte("old\n"), 0o600)) // as after kill -9
	connected(t, plain.Addr(), "")
}
