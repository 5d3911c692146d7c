package snapbill_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sample is one exchange. Its provenance says who has seen it.
type sample struct {
	Operation  string          `json:"operation"`
	Provenance string          `json:"provenance"`
	Method     string          `json:"method"`
	Path       string          `json:"path"`
	Form       string          `json:"form"`
	Status     int             `json:"status"`
	Body       json.RawMessage `json:"body"`
	Text       string          `json:"text"` // a body that is not JSON
}

func samples(t testing.TB) map[string]sample {
	t.Helper()
	text, err := os.ReadFile("testdata/samples.json")
	require.NoError(t, err)
	var all map[string]sample
	require.NoError(t, json.Unmarshal(text, &all))
	require.Greater(t, len(all), 50)
	return all
}
