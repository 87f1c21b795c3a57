package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// A scrape fails for two reasons, and only one of them is Redis. Metrics that Prometheus refuses cannot be provoked from
// outside the package, because the exporter drops those that clash.
func TestInconsistentMetricsAreNotAFailureOfRedis(t *testing.T) {
	t.Parallel()
	clash, gone := errors.New("collected before"), unavailable{errors.New("dial tcp 10.0.0.1: secret")}
	for _, err := range []error{clash, prometheus.MultiError{clash, clash}} {
		status, _, detail := statusOf(gathering(err))
		require.Equal(t, http.StatusInternalServerError, status)
		require.Equal(t, "the metrics are not consistent: collected before", detail)
	}
	for _, err := range []error{fmt.Errorf("collecting: %w", gone), prometheus.MultiError{clash, fmt.Errorf("collecting: %w", gone)}} {
		status, _, detail := statusOf(gathering(err))
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "the cache does not answer, try again", detail)
	}
}
