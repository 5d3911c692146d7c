package sqljournal_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/sqljournal"
)

// A worker of a fleet settles what is open, also what another worker has started.
// The program imports a driver: _ "github.com/lib/pq".
func Example() {
	ctx := context.Background()
	db, err := sql.Open("postgres", "host=/run/postgresql dbname=payments binary_parameters=yes")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(8)
	if err := sqljournal.Migrate(ctx, db); err != nil { // Once for each release.
		panic(err)
	}
	provider := batchtest.NewMemory(batchtest.MemoryOptions{}) // Yours.
	journal, err := sqljournal.Open(ctx, db, provider.Info())
	if err != nil {
		panic(err)
	}
	for range time.Tick(time.Minute) {
		for report, err := range batch.Settle(ctx, provider, &batch.RunOptions{Journal: journal}) {
			fmt.Println(report.Batch.Draft.Reference, report.Batch.State, err)
		}
	}
}
