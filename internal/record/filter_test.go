package record_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func tagsOf(texts ...string) (tags []series.Tag) {
	for i := 0; i < len(texts); i += 2 {
		tags = append(tags, series.Tag{Key: texts[i], Value: texts[i+1]})
	}
	return tags
}

// The texts of some records look like the JSON of others, in every member.
func TestFilterSelectsAsTheParsedRecordWould(t *testing.T) {
	t.Parallel()
	texts := []string{"a", "b", `a","host":"b`, `,"final":true`, `"agent":"a"`, "ü\u2028<", `\`, "", "agent"}
	var records []record.Record
	for i, text := range texts {
		for _, state := range []record.State{record.Unmarked, record.Open, record.Final} {
			r := record.Record{
				Table: "analytics_t", Field: text, Agent: texts[(i+1)%len(texts)], Replica: texts[(i+5)%len(texts)], State: state,
				Tags:  tagsOf("host", texts[(i+2)%len(texts)], "k,:"+text, texts[(i+3)%len(texts)]),
				Stats: []record.Stat{{Name: "mean", Value: 1.0}},
			}
			series.SortTags(r.Tags)
			records = append(records, r)
		}
	}
	// The JSON of these tags, "+":"x,",":":"y", contains that of the tag "," with the value ":".
	records = append(records, record.Record{Table: "analytics_t", Tags: tagsOf("+", "x,", ":", "y"), Stats: []record.Stat{{Name: "mean", Value: 1.0}}})
	wanted := []record.Wanted{{Tags: tagsOf(",", ":")}}
	for i, text := range texts {
		other := texts[(i+4)%len(texts)]
		wanted = append(wanted, record.Wanted{Fields: []string{text}}, record.Wanted{Fields: []string{text, other}, Final: i%2 == 0},
			record.Wanted{Tags: tagsOf("host", text)}, record.Wanted{Tags: tagsOf("agent", text)}, record.Wanted{Tags: tagsOf("k,:"+other, text)},
			record.Wanted{Tags: tagsOf("host", text, "agent", other)}, record.Wanted{Tags: tagsOf("mean", text)},
			record.Wanted{Tags: tagsOf("replica", text)}, record.Wanted{Tags: tagsOf("replica", text, "agent", other)})
	}
	wanted = append(wanted, record.Wanted{}, record.Wanted{Final: true}, record.Wanted{Tags: tagsOf("final", "true")})
	matches := 0
	for _, w := range wanted {
		filter := record.NewFilter("analytics_t", w)
		for _, r := range records {
			text := string(r.AppendJSON(nil))
			parsed, err := record.Parse([]byte(text))
			require.NoError(t, err)
			want := isWanted(w, parsed)
			require.Equal(t, want, filter.Match(text), "%+v of %s", w, text)
			outline, ok := record.NewForm("analytics_t", r.Start).Outline(text)
			require.True(t, ok)
			outline.Stats = ""
			require.True(t, w.Final || filter.MatchOutline(&outline) == want, "%+v of %s", w, text)
			if want {
				matches++
			}
		}
	}
	require.Greater(t, matches, 50)
}

func isWanted(w record.Wanted, r record.Record) bool {
	field := len(w.Fields) == 0
	for _, name := range w.Fields {
		field = field || r.Field == name
	}
	for _, tag := range w.Tags {
		found := tag.Key == "agent" && r.Agent == tag.Value || tag.Key == "replica" && r.Replica == tag.Value
		for _, t := range r.Tags {
			found = found || t == tag
		}
		field = field && found
	}
	return field && (!w.Final || r.State == record.Final)
}

func TestFilterMatchesNoTextThatIsNotARecord(t *testing.T) {
	t.Parallel()
	require.False(t, record.NewFilter("t", record.Wanted{Tags: tagsOf("agent", "a")}).Match("garbage"))
	require.False(t, record.NewFilter("t", record.Wanted{Fields: []string{"f"}}).Match("garbage"))
}
