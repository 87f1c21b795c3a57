package api_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// next returns the address of the page after an answer, or "".
func next(t testing.TB, w *httptest.ResponseRecorder, path string) string {
	t.Helper()
	link := w.Header().Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	require.True(t, ok, link)
	base, err := url.Parse(path)
	require.NoError(t, err)
	u, err := base.Parse(target)
	require.NoError(t, err)
	return u.String()
}

// paged returns the records of all pages from an address on, and the number of the pages. between is called after each page.
func (s *service) paged(t testing.TB, path string, between func(page int)) (all []string, pages int) {
	t.Helper()
	for path != "" {
		w := s.get(t, path)
		all = append(all, array(t, w)...)
		pages++
		require.Less(t, pages, 1000)
		if between != nil {
			between(pages)
		}
		path = next(t, w, path)
	}
	return all, pages
}

// several writes twelve minutes of three hosts and two fields: of each host, and of a host that two agents describe.
func (s *service) several(t testing.TB) {
	t.Helper()
	var all []record.Record
	for m := range 12 {
		for i, host := range []string{"a", "b", "c"} {
			for _, field := range []string{"f", "g"} {
				r := summed(marked(rec(m, field, host, 0), m > 2), "a1", "", float64(m), float64(i))
				all = append(all, r)
				if host == "b" {
					all = append(all, summed(marked(r, m > 4), "a2", "", 7), summed(marked(r, m > 4), "a2", "r", 7, 8))
				}
			}
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.put(t, all...)
	s.clock.Store(0)
}

// pageSizes returns the numbers of records of a page that are tested with an answer of n records: with -short, those that need few
// requests.
func pageSizes(n int) []int {
	if testing.Short() {
		return []int{n/2 + 1, n}
	}
	return []int{1, 3, 7, n, 1000}
}

func TestPagesAreTheWholeAnswer(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.several(t)
	for _, query := range []string{
		"", "&agents=each", "&final=true", "&final=true&agents=each", "&tag=host=b", "&field=g&tag=agent=a2", "&last=5", "&last=5&final=true", "&last=4&tag=host=b&final=true",
		"&start=-6m&end=-2m", "&bucket=1m", "&bucket=5m&group_by=host", "&bucket=5m&group_by=host&agents=each", "&bucket=5m&group_by=&last=2", "&bucket=4m&last=2&final=true",
		"&stats=count", "&group_by=cpu&final=true&last=3", "&bucket=5m&timezone=Asia/Kathmandu&share_le=3",
	} {
		orders := []string{"", "&order=desc", "&order=asc"}
		if testing.Short() {
			orders = orders[:2]
		}
		for _, order := range orders {
			path := cpuPath + query + order
			whole := array(t, s.get(t, path))
			require.NotEmpty(t, whole, path)
			for _, size := range pageSizes(len(whole)) {
				got, pages := s.paged(t, fmt.Sprintf("%s&limit=%d", path, size), nil)
				require.Equal(t, whole, got, "%s in pages of %d", path, size)
				require.Equal(t, max(1, (len(whole)+size-1)/size), pages, "%s in pages of %d", path, size)
			}
			got, pages := s.paged(t, path+"&cursor=", nil)
			require.Equal(t, whole, got)
			require.Equal(t, 1, pages, "without limit, a page has as many records as an answer may have")
		}
	}
}

func TestTheAddressOfTheNextPage(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.several(t)
	for _, format := range []string{"json", "jsonl", "csv", "lp"} {
		path := cpuPath + "&limit=5&tag=host%3Da&tag=cpu%3Dcpu0&format=" + format
		w := s.get(t, path)
		require.True(t, strings.HasPrefix(w.Header().Get("Link"), "<?cursor="), "a relative address")
		u, err := url.Parse(next(t, w, path))
		require.NoError(t, err)
		values := u.Query()
		require.LessOrEqual(t, len(values.Get("cursor")), 200)
		values.Del("cursor")
		require.Equal(t, url.Values{"database": {"db"}, "limit": {"5"}, "tag": {"host=a", "cpu=cpu0"}, "format": {format}}, values)
		require.Equal(t, http.StatusOK, s.get(t, u.String()).Code)
		head := httptest.NewRecorder()
		s.ServeHTTP(head, httptest.NewRequest(http.MethodHead, path, http.NoBody))
		require.Equal(t, w.Header().Get("Link"), head.Header().Get("Link"))
	}
	require.Empty(t, s.get(t, cpuPath).Header().Get("Link"))
	path := cpuPath + "&limit=5"
	second := next(t, s.get(t, path), path)
	require.Len(t, array(t, s.get(t, strings.Replace(second, "limit=5", "limit=2&pretty=true", 1))), 2, "pages may have other sizes and forms")
}

func TestAWrongCursorIsAFault(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.several(t)
	path := cpuPath + "&limit=5"
	link := next(t, s.get(t, path), path)
	u, _ := url.Parse(link)
	cursor := u.Query().Get("cursor")
	flipped := []byte(cursor)
	flipped[20] = map[bool]byte{true: 'B', false: 'A'}[flipped[20] == 'A']
	for _, c := range []struct{ query, cursor, want string }{
		{"", "x", "this is not a cursor"},
		{"", "MjAyNg==", "this is not a cursor"},
		{"", cursor[:len(cursor)-4], "cursor"},
		{"", string(flipped), "the cursor is damaged"},
		{"", cursor + "AAAA", "the cursor is damaged"},
		{"", strings.Repeat("A", 5000), "a cursor has at most"},
		{"&order=desc", cursor, "the cursor is that of another query"},
		{"&tag=host=a", cursor, "the cursor is that of another query"},
		{"&bucket=1h", cursor, "the cursor is that of another query"},
	} {
		p := problemOf(t, s.get(t, cpuPath+c.query+"&cursor="+url.QueryEscape(c.cursor)), http.StatusBadRequest)
		require.Equal(t, "query.cursor", p.Errors[0].Location)
		require.Contains(t, p.Errors[0].Message, c.want)
		require.Contains(t, p.Errors[0].Message, "want the cursor of the Link header of a page, or an empty one for the first page")
	}
	require.Equal(t, http.StatusOK, s.get(t, strings.Replace(link, "cpu?", "analytics_cpu?", 1)).Code, "the same table")
	r := rec(0, "f", "a", 0)
	r.Table = "analytics_other"
	require.NoError(t, s.writer.Put(t.Context(), record.Table{Database: "db", Name: r.Table}, []record.Record{r}))
	s.clock.Add(10)
	require.Contains(t, problemOf(t, s.get(t, strings.Replace(link, "cpu?", "other?", 1)), http.StatusBadRequest).Detail, "another query")
}

// Records that are written between the pages, also into buckets that were read, neither repeat a record nor hide one.
func TestACursorStaysValidWhileDataArrives(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "&order=desc", "&agents=each", "&agents=each&order=desc", "&bucket=3m&stats=max", "&bucket=3m&stats=max&order=desc", "&last=8", "&last=8&order=desc"} {
		s := withRedis(t, nil)
		s.several(t)
		each := strings.Contains(query, "each")
		before := names(array(t, s.get(t, cpuPath+query)), each)
		rnd := rand.New(rand.NewPCG(5, 6))
		size := 4
		if testing.Short() {
			size = 8 // half of the requests
		}
		all, _ := s.paged(t, fmt.Sprint(cpuPath, query, "&limit=", size), func(page int) {
			m := rnd.IntN(14) - 2
			s.put(t,
				summed(marked(rec(m, "f", fmt.Sprint("new", page), 0), true), "a1", "", 1), // a new series
				summed(marked(rec(m, "g", "b", 0), true), "a0", "", 1),                     // another agent
				summed(marked(rec(rnd.IntN(12), "f", "c", 0), true), "a1", "", 1, 2, 3, 4), // another revision
			)
		})
		got := names(all, each)
		require.Len(t, got, len(all), "%s: no record is repeated", query)
		for name := range before {
			require.True(t, got[name], "%s: %s", query, name)
		}
	}
}

// names returns the identities of records, with their agents or without.
func names(texts []string, agents bool) map[string]bool {
	all := make(map[string]bool)
	for _, text := range texts {
		r, err := record.Parse([]byte(text))
		if err != nil {
			panic(err)
		}
		name := fmt.Sprint(r.Start, r.Field, r.Tags)
		if agents {
			name += fmt.Sprint(r.Agent, r.Replica)
		}
		all[name] = true
	}
	return all
}

// A page is of the buckets that start=-5m and last=5 selected when the first page was made.
func TestRelativeRangesAreThoseOfTheFirstPage(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"&last=5", "&last=5&order=desc", "&start=-5m&order=desc", "&end=now&last=4", "&last=2&bucket=3m&stats=count", "&last=3&final=true"} {
		s := withRedis(t, nil)
		s.several(t)
		whole := array(t, s.get(t, cpuPath+query))
		got, _ := s.paged(t, cpuPath+query+"&limit=3", func(page int) {
			s.put(t, summed(marked(rec(-page-5, "f", "a", 0), true), "a1", "", 1))
			s.clock.Store(int64(60 * page))
		})
		require.Equal(t, whole, got, query)
	}
}

func TestNamesOfAnyLengthHaveAPlace(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	var all []record.Record
	for i := range 9 {
		for _, agent := range []string{"a1", "a2" + strings.Repeat("x", 300)} {
			r := summed(rec(1, "f", "a", 0), agent, "", float64(i))
			r.Tags = []series.Tag{{Key: "host", Value: strings.Repeat("h", 200+20*(i%5)) + strconv.Itoa(i)}}
			all = append(all, r)
		}
	}
	s.put(t, all...)
	for _, query := range []string{"", "&agents=each", "&order=desc", "&agents=each&order=desc", "&group_by=host"} {
		whole := array(t, s.get(t, cpuPath+query))
		require.Len(t, whole, map[bool]int{true: 18, false: 9}[strings.Contains(query, "each")])
		got, _ := s.paged(t, cpuPath+query+"&limit=2", nil)
		require.Equal(t, whole, got, query)
	}
	w := s.get(t, cpuPath+"&agents=each&limit=1&order=desc")
	require.Less(t, len(w.Header().Get("Link")), 1500)
}

// A table with more buckets than a request may read can be read in pages.
func TestPagesOfATableWithManyBuckets(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxBuckets, o.MaxRecords = 40, 30 })
	var all []record.Record
	for m := 199; m >= 0; m-- {
		all = append(all, summed(rec(m, "f", "a", 0), "a1", "", float64(m)))
	}
	s.put(t, all...)
	want := texts(all, func(record.Record) bool { return true })
	p := problemOf(t, s.get(t, cpuPath), http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "at most 40 are allowed: narrow it down with start, end or last, or read it in pages with limit")
	got, _ := s.paged(t, cpuPath+"&cursor=", nil)
	require.Equal(t, want, got)
	slices.Reverse(want)
	got, _ = s.paged(t, cpuPath+"&limit=30&order=desc", nil)
	require.Equal(t, want, got)
	for _, order := range []string{"asc", "desc"} {
		got, _ = s.paged(t, cpuPath+"&limit=7&stats=count&bucket=3m&order="+order, nil)
		require.Len(t, got, 67, order)
		total := 0.0
		for _, text := range got {
			r, err := record.Parse([]byte(text))
			require.NoError(t, err)
			total += float64(r.Stats[0].Value.(int64))
		}
		require.Equal(t, 200.0, total, order)
	}
	p = problemOf(t, s.get(t, cpuPath+"&limit=30&stats=count&bucket=3m"), http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "the request has to read 41 buckets or more, at most 40 are allowed")
	p = problemOf(t, s.get(t, cpuPath+"&limit=3&tag=host=none"), http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "the request has to read 41 buckets or more, at most 40 are allowed: narrow it down with start, end or last")
}

// A bucket that has more records than a page. A redis-server returns it in parts, and the Redis in this process at once.
func TestPagesOfALargeBucket(t *testing.T) {
	t.Parallel()
	var all []record.Record
	for i := range 1500 {
		all = append(all, rec(1, "f", fmt.Sprintf("h%04d", i), 0))
	}
	want := texts(all, func(record.Record) bool { return true })
	for _, start := range []func(testing.TB, func(*api.Options)) *service{withRedis, inProcess} {
		s := start(t, func(o *api.Options) { o.MaxRecords = 400 })
		s.put(t, all...)
		for _, order := range []string{"asc", "desc"} {
			got, pages := s.paged(t, cpuPath+"&cursor=&order="+order, nil)
			require.Equal(t, want, got)
			require.Equal(t, 4, pages)
			slices.Reverse(want)
		}
	}
}

func TestAPageWithTooManyBytesIsAClearProblem(t *testing.T) {
	t.Parallel()
	s := withRedis(t, func(o *api.Options) { o.MaxBytes = 1000 })
	s.fill(t)
	p := problemOf(t, s.get(t, cpuPath+"&limit=30"), http.StatusUnprocessableEntity)
	require.Regexp(t, `^the page has \d+ bytes or more, at most 1000 are allowed: set a smaller limit$`, p.Detail)
	got, _ := s.paged(t, cpuPath+"&limit=4", nil)
	require.Len(t, got, 40)
}

func FuzzCursor(f *testing.F) {
	s := inProcess(f, nil)
	s.several(f)
	path := cpuPath + "&limit=5"
	u, _ := url.Parse(next(f, s.get(f, path), path))
	f.Add(u.Query().Get("cursor"))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		w := s.get(t, path+"&cursor="+url.QueryEscape(cursor))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code, w.Body.String())
	})
}
