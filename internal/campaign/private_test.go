package campaign

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// What a draft holds for the journal only, no service ever sees.
func TestWhatIsForTheJournalIsNeverSent(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := w.open(rand.New(rand.NewPCG(1, 2)))
				defer s.close()
				d := s.draft(1, 2)
				d.Author, d.NotAfter = "canary-author", time.Date(3210, 1, 1, 0, 0, 0, 0, time.UTC)
				for n := range d.Items {
					d.Items[n].Purpose = fmt.Sprintf("canary-purpose-%d", n)
					d.Items[n].Labels = map[string]string{"canary-label": "canary-value"}
				}
				journal := batch.NewMemoryJournal()
				_, _ = batch.Run(t.Context(), s.provider(), d, &batch.RunOptions{Journal: journal})
				sent := s.kit.Log.Requests("")
				require.NotEmpty(t, sent)
				for _, r := range sent {
					text := fmt.Sprint(r.Path, r.Query, r.Header, string(r.Body))
					require.NotContains(t, text, "canary")
					require.NotContains(t, text, "3210")
				}
				history, err := journal.History(t.Context(), batch.Key{Provider: s.provider().Info().Name,
					Account: s.provider().Info().Account, Reference: d.Reference})
				require.NoError(t, err)
				require.NotEmpty(t, history)
				require.Equal(t, "canary-value", history[0].Draft.Items[0].Labels["canary-label"], "the journal has it")
			})
		})
	}
}
