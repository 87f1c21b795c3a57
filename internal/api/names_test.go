package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestUnknownFieldsAndTagKeysAreFaultsWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	s := withStreams(t, nil)
	s.fill(t)
	const base = "/analytics/cpu?database=db"
	const rule = "; others are known after their first record"
	for query, want := range map[string][]api.Fault{
		"&field=x": {{"query.field", `"x"`, `unknown field of "analytics_cpu", did you mean "f"? Known are "f", "g"` + rule}},
		"&field=f&field=usage&tag=hots=a": {
			{"query.field", `"usage"`, `unknown field of "analytics_cpu"; known are "f", "g"` + rule},
			{"query.tag", `"hots"`, `unknown key of a tag of "analytics_cpu", did you mean "host"? Known are "cpu", "host"` + rule},
		},
		"&tag=x=1&tag=yyyyy=1": {
			{"query.tag", `"x"`, `unknown key of a tag of "analytics_cpu"; known are "cpu", "host"` + rule}, {"query.tag", `"yyyyy"`, `unknown key of a tag of "analytics_cpu"`},
		},
		"&group_by=cpu,hosts": {{"query.group_by", `"hosts"`, `unknown key of a tag of "analytics_cpu", did you mean "host"? Known are "cpu", "host"` + rule}},
		"&group_by=agent":     {{"query.group_by", `"agent"`, `unknown key of a tag of "analytics_cpu"; known are "cpu", "host"` + rule}},
	} {
		require.Equal(t, want, problemOf(t, s.get(t, base+query), http.StatusBadRequest).Errors, query)
	}
	problemOf(t, s.get(t, "/analytics/cpu/stream?database=db&field=x"), http.StatusBadRequest)
	require.Empty(t, array(t, s.get(t, base+"&tag=host=unknown")), "a value is not checked")
	require.Len(t, array(t, s.get(t, base+"&tag=agent=a1&tag=host=a")), 20, "the agent can be selected like a tag")
	s.put(t, rec(0, "x", "a", 1))
	require.Len(t, array(t, s.get(t, base+"&field=x")), 1, "a field is known at once when it is written")
}

// An answer about unknown names is small, for tables with many or long names and requests with many unknown ones.
func TestUnknownNamesHaveASmallAnswer(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var records []record.Record
	for i := range 900 {
		r := rec(1, fmt.Sprintf("field%03d%s", i, strings.Repeat("x", i%100)), "a", 1)
		records = append(records, r)
	}
	noTags := records[0]
	noTags.Tags = nil
	s.put(t, append(records, noTags)...)
	query := url.Values{"database": {"db"}}
	for i := range 100 {
		query.Add("field", fmt.Sprintf("fild%03d", i))
	}
	w := s.get(t, "/analytics/cpu?"+query.Encode())
	p := problemOf(t, w, http.StatusBadRequest)
	require.Len(t, p.Errors, 20)
	require.Contains(t, p.Detail, "100 parameters are wrong")
	require.Contains(t, p.Errors[0].Message, `did you mean "field000"? Known are "field000", `)
	require.Regexp(t, ` and 88\d more; `, p.Errors[0].Message)
	require.Less(t, w.Body.Len(), 8<<10)
}

// counting is a cache that counts the readings of tables' descriptions.
type counting struct {
	*cache.Reader
	infos atomic.Int64
}

func (c *counting) Info(ctx context.Context, t record.Table) (record.TableInfo, error) {
	c.infos.Add(1)
	return c.Reader.Info(ctx, t)
}

// Names cost a reading of Redis only if they were not seen within a minute.
func TestKnownNamesAreReadOnceAMinute(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	reader := &counting{Reader: s.reader}
	s.Handler = newAPI(t, reader, options(s))
	reads := func(query string) int64 {
		before := reader.infos.Load()
		require.Equal(t, http.StatusOK, s.get(t, "/analytics/cpu?database=db"+query).Code)
		return reader.infos.Load() - before
	}
	require.Zero(t, reads("&last=1"))
	require.EqualValues(t, 1, reads("&field=f&tag=host=a"))
	require.Zero(t, reads("&field=f&tag=host=a&last=1"))
	require.Zero(t, reads("&field=f&tag=agent=a1"))
	require.EqualValues(t, 1, reads("&field=g"))
	s.clock.Add(60)
	require.EqualValues(t, 1, reads("&field=f"))
}

// A list of names that Redis has lost, or that is too long to be read, refuses no request.
func TestNamesAreNotCheckedWithoutTheirList(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	for _, names := range [][]string{nil, make([]string, 10_000)} {
		s.Handler = newAPI(t, named{s.reader, names}, options(s))
		require.Empty(t, array(t, s.get(t, "/analytics/cpu?database=db&field=unknown")))
	}
}

// named is a cache whose tables have fields of the test.
type named struct {
	*cache.Reader
	fields []string
}

func (n named) Info(context.Context, record.Table) (record.TableInfo, error) {
	return record.TableInfo{Fields: n.fields}, nil
}

// A tag that JSON has by another name is known by that one, which the filter matches too.
func TestRenamedTagsAreKnownAsInJSON(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	r := rec(1, "f", "a", 1)
	r.Tags = []series.Tag{{Key: "final", Value: "yes"}}
	s.put(t, r)
	require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db&tag=final_tag=yes")), 1)
	require.Contains(t, problemOf(t, s.get(t, "/analytics/cpu?database=db&tag=final=yes"), http.StatusBadRequest).Detail, `nown are "final_tag"`)
}
