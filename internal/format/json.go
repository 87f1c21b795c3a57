package format

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// appendJSON appends an array of the records and a newline: "[]\n" without records. With pretty, the brackets are on lines of their own,
// and the members of a record are indented by four spaces. Without pretty, the texts are not parsed and there is no error.
func appendJSON(dst []byte, texts []string, pretty bool) ([]byte, error) {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if !pretty {
			dst = append(dst, text...)
			continue
		}
		buf := bytes.NewBuffer(append(dst, "\n  "...))
		if err := json.Indent(buf, []byte(text), "  ", "  "); err != nil {
			return dst, fmt.Errorf("%w: %w", record.ErrFormat, err)
		}
		dst = buf.Bytes()
	}
	if pretty && len(texts) > 0 {
		dst = append(dst, '\n')
	}
	return append(dst, ']', '\n'), nil
}
