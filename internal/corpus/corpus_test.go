package corpus_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/corpus"
)

const folder = "../../testdata"

var update = flag.Bool("update", false, "write the files of testdata")

func TestFilesInTestdataAreUpToDate(t *testing.T) {
	t.Parallel()
	for name, want := range corpus.Files() {
		path := filepath.Join(folder, name)
		if *update {
			require.NoError(t, os.WriteFile(path, want, 0o600))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s is out of date: run the test with -update", name)
		require.Less(t, len(got), 250_000, name)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.lp"))
	require.NoError(t, err)
	require.Len(t, files, len(corpus.Files()))
}

func TestFilesAreLineProtocol(t *testing.T) {
	t.Parallel()
	for name, b := range corpus.Files() {
		d := lineprotocol.NewDecoderWithBytes(b)
		for d.Next() {
			_, err := d.Measurement()
			require.NoError(t, err, name)
			for key := []byte{1}; key != nil; {
				key, _, err = d.NextTag()
				require.NoError(t, err, name)
			}
			for key := []byte{1}; key != nil; {
				key, _, err = d.NextField()
				require.NoError(t, err, name)
			}
			_, err = d.TimeBytes()
			require.NoError(t, err, name)
		}
	}
}
