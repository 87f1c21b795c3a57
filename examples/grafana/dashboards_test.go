package grafana_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// dashboard is the part of a dashboard that the tests look at.
type dashboard struct {
	ID            *int
	UID           string
	Title         string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
}

type panel struct {
	ID         int
	Type       string
	Title      string
	GridPos    struct{ X, Y, W, H int }
	Datasource datasource
	Targets    []target
	Panels     []panel // of a row
}

type datasource struct{ Type, UID string }

// target is a query of a panel: PromQL or SQL.
type target struct {
	RefID, Expr, Format, RawSQL, LegendFormat string
}

// variable is a choice at the top of a dashboard.
type variable struct {
	Name, Type, Query, Regex string
	Datasource               datasource
}

// load returns a dashboard.
func load(t *testing.T, name string) (d dashboard) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("dashboards", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &d))
	return d
}

// leaves returns the panels that show something, also those in rows.
func (d *dashboard) leaves() (leaves []panel) {
	for _, p := range d.Panels {
		if p.Type != "row" {
			leaves = append(leaves, p)
		}
		leaves = append(leaves, p.Panels...)
	}
	return leaves
}

// variable returns the variable of a name.
func (d *dashboard) variable(t *testing.T, name string) variable {
	t.Helper()
	i := slices.IndexFunc(d.Templating.List, func(v variable) bool { return v.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return d.Templating.List[i]
}

// references are the variables in a text: $name, ${name} or ${name:format}, but no macro such as $__interval.
var references = regexp.MustCompile(`\$(?:\{(\w+)(?::(\w+))?\}|(\w+))`)

// interpolate replaces the variables in a text as Grafana does.
func interpolate(t *testing.T, text string, values map[string][]string) string {
	t.Helper()
	return references.ReplaceAllStringFunc(text, func(reference string) string {
		m := references.FindStringSubmatch(reference)
		name, format := m[1]+m[3], m[2]
		if strings.HasPrefix(name, "__") {
			return reference
		}
		chosen, known := values[name]
		require.True(t, known, "%s in %q", reference, text)
		quote, separator := "", "|"
		switch format {
		case "", "raw":
		case "sqlstring":
			quote, separator = "'", ","
		case "doublequote":
			quote, separator = `"`, ","
		default:
			require.Fail(t, "unknown format", reference)
		}
		if format == "" && len(chosen) > 1 {
			return "(" + strings.Join(chosen, separator) + ")" // Prometheus wants a regular expression
		}
		return quote + strings.Join(chosen, quote+separator+quote) + quote
	})
}

func readYAML(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(strings.NewReader(string(b)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(to))
}

// sources returns the types of the provisioned data sources by uid.
func sources(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			JSONData                     map[string]any    `yaml:"jsonData"`
			SecureJSONData               map[string]string `yaml:"secureJsonData"`
		}
	}
	readYAML(t, "provisioning/datasources/telegraf-describe.yml", &file)
	require.Equal(t, 1, file.APIVersion)
	types := make(map[string]string)
	for _, s := range file.Datasources {
		require.Equal(t, "proxy", s.Access)
		require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL)
		require.Empty(t, types[s.UID], "two data sources with the uid %s", s.UID)
		types[s.UID] = s.Type
	}
	require.Len(t, types, 2)
	return types
}

func TestDashboardsUseTheProvisionedDataSources(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	uids, types := map[string]bool{}, sources(t)
	for _, file := range files {
		d := load(t, filepath.Base(file))
		require.Nil(t, d.ID, "the id belongs to one Grafana")
		require.NotEmpty(t, d.Title)
		require.Equal(t, 42, d.SchemaVersion)
		require.False(t, uids[d.UID], "two dashboards with the uid %s", d.UID)
		uids[d.UID] = true
		used := []datasource{}
		for _, p := range d.leaves() {
			used = append(used, p.Datasource)
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				used = append(used, v.Datasource)
			}
		}
		for _, source := range used {
			require.Equal(t, datasource{types[d.UID], d.UID}, source, "%s: each dashboard has the uid of its data source", file)
		}
	}
}

func TestGrafanaFindsTheDashboards(t *testing.T) {
	t.Parallel()
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type, Folder    string
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			Options               struct{ Path string }
		}
	}
	readYAML(t, "provisioning/dashboards/telegraf-describe.yml", &file)
	require.Equal(t, 1, file.APIVersion)
	require.Len(t, file.Providers, 1)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), file.Providers[0].Options.Path)
}

// requireApart checks that panels with a common parent do not overlap and are within the 24 columns.
func requireApart(t *testing.T, panels []panel) {
	t.Helper()
	for i, a := range panels {
		require.Positive(t, a.GridPos.W*a.GridPos.H, a.Title)
		require.LessOrEqual(t, a.GridPos.X+a.GridPos.W, 24, a.Title)
		for _, b := range panels[:i] {
			apart := a.GridPos.X >= b.GridPos.X+b.GridPos.W || b.GridPos.X >= a.GridPos.X+a.GridPos.W ||
				a.GridPos.Y >= b.GridPos.Y+b.GridPos.H || b.GridPos.Y >= a.GridPos.Y+a.GridPos.H
			require.True(t, apart, "%q overlaps %q", a.Title, b.Title)
		}
		requireApart(t, a.Panels)
	}
}

func TestPanelsAreApart(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"prometheus.json", "influxdb3.json"} {
		d := load(t, name)
		requireApart(t, d.Panels)
		ids := map[int]bool{}
		for _, p := range append(d.leaves(), d.Panels...) {
			ids[p.ID] = true
			require.NotEmpty(t, p.Title)
		}
		rows := 0
		for _, p := range d.Panels {
			if p.Type == "row" {
				rows++
			}
		}
		require.Len(t, ids, len(d.leaves())+rows, "%s: panels with the same id", name)
	}
}
