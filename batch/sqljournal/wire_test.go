package sqljournal_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A wire is the network between a pool of connections and the server. It
// counts the round trips, and loses what it is told to lose.
type wire struct {
	net.Dialer
	mu         sync.Mutex
	roundTrips int
	lose       func(request []byte) (loss, bool) // asked once for every request until it says so
}

// A loss is what becomes of a request whose connection breaks.
type loss int

const (
	answerLost  loss = iota // the server has carried it out
	requestLost             // the server has not seen it
)

func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(context.Background(), network, address)
}

func (w *wire) DialTimeout(network, address string, _ time.Duration) (net.Conn, error) {
	return w.Dial(network, address)
}

func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.Dialer.DialContext(ctx, network, address)
	return &wiredConn{Conn: conn, wire: w}, err
}

type wiredConn struct {
	net.Conn
	wire  *wire
	asked bool
	lost  bool
	loss  loss
}

func (c *wiredConn) Write(request []byte) (int, error) {
	c.wire.mu.Lock()
	c.asked = true
	lose := c.wire.lose
	c.wire.mu.Unlock()
	if lose != nil {
		if c.loss, c.lost = lose(request); c.lost {
			c.wire.mu.Lock()
			c.wire.lose = nil
			c.wire.mu.Unlock()
			if c.loss == requestLost {
				return len(request), nil
			}
		}
	}
	return c.Conn.Write(request)
}

func (c *wiredConn) Read(answer []byte) (int, error) {
	c.wire.mu.Lock()
	if c.asked {
		c.wire.roundTrips++
		c.asked = false
	}
	c.wire.mu.Unlock()
	if c.lost {
		if c.loss == answerLost {
			_, _ = c.Conn.Read(answer) // It has come as far as here.
		}
		return 0, io.EOF
	}
	return c.Conn.Read(answer)
}

// wired returns connections to a database, and what is between.
func wired(t testing.TB, database string) (*sql.DB, *wire) {
	t.Helper()
	connector, err := pq.NewConnector(postgres.DSN(database) + " binary_parameters=yes")
	require.NoError(t, err)
	w := &wire{}
	connector.Dialer(w)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db, w
}

func (w *wire) count(call func()) int {
	w.mu.Lock()
	before := w.roundTrips
	w.mu.Unlock()
	call()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.roundTrips - before
}

func TestAnEntryIsOneRoundTrip(t *testing.T) {
	db, w := wired(t, newJournalDatabase(t))
	j := open(t, db, owner)
	for seq := 1; seq <= 3; seq++ {
		e := entry(seq, batch.EntryReconciled)
		e.Claims, e.Releases = []string{fmt.Sprint("name-", seq)}, []string{fmt.Sprint("name-", seq-1)}
		e.Batch = &batch.Batch{ID: "7", Draft: batch.Draft{Items: []batch.Item{{Reference: "a"}}}}
		require.Equal(t, 1, w.count(func() { require.NoError(t, j.Append(t.Context(), key("run"), e)) }),
			"entry %d", seq)
	}
	require.Equal(t, 1, w.count(func() { require.Equal(t, 3, lengthOf(t, j, "run")) }))
	require.Equal(t, 1, w.count(func() {
		require.ErrorIs(t, j.Append(t.Context(), key("run"), entry(3, batch.EntryDone)), batch.ErrConflict)
	}))
}

// losing makes w lose the next entry that is sent, after it has called before.
func (w *wire) losing(l loss, before func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = func(request []byte) (loss, bool) {
		if !bytes.Contains(request, []byte("batchway_append")) {
			return 0, false
		}
		before()
		return l, true
	}
}

// An entry whose connection breaks is written once, and Append knows it.
func TestAnEntryThatIsLostOnItsWayIsWrittenOnce(t *testing.T) {
	for name, l := range map[string]loss{"the request is lost": requestLost, "the answer is lost": answerLost} {
		t.Run(name, func(t *testing.T) {
			database := newJournalDatabase(t)
			db, w := wired(t, database)
			j := open(t, db, owner)
			for seq := 1; seq <= 3; seq++ {
				w.losing(l, func() {})
				e := entry(seq, batch.EntryAttempt)
				e.Claims = []string{fmt.Sprint("name-", seq)}
				require.NoError(t, j.Append(t.Context(), key("run"), e))
				require.Nil(t, w.lose)
				require.Equal(t, seq, lengthOf(t, j, "run"))
			}
		})
	}
}

// Of two writers of the same entry one wins, also if the connection of the
// other breaks.
func TestAnEntryThatIsLostIsNotTakenForAnothers(t *testing.T) {
	for name, l := range map[string]loss{"the request is lost": requestLost, "the answer is lost": answerLost} {
		t.Run(name, func(t *testing.T) {
			database := newJournalDatabase(t)
			db, w := wired(t, database)
			j, other := open(t, db, owner), open(t, pool(t, database), owner)
			w.losing(l, func() {
				require.NoError(t, other.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
			})
			err := j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent))
			require.ErrorIs(t, err, batch.ErrConflict)
			require.NoError(t, j.Append(t.Context(), key("run"), entry(2, batch.EntryAttempt)),
				"that is certain, and the journal goes on")
		})
	}
}

// An entry of which it stays unknown whether it was written poisons the
// journal: a name that is held now may be free when the first request arrives.
func TestAnEntryThatStaysUnknownPoisonsTheJournal(t *testing.T) {
	database := newJournalDatabase(t)
	db, w := wired(t, database)
	j := open(t, db, owner)
	held := entry(1, batch.EntryIntent)
	held.Claims = []string{"name"}
	w.losing(requestLost, func() {
		require.NoError(t, open(t, pool(t, database), owner).Append(t.Context(), key("other"), held))
	})
	require.ErrorIs(t, j.Append(t.Context(), key("run"), held), batch.ErrConflict)
	require.ErrorContains(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)), "must be opened anew")
}

// runOf writes the entries of a batch that was seen through.
func runOf(tb testing.TB, j batch.Journal, reference string, items int) {
	tb.Helper()
	d := batch.Draft{Reference: reference, Direction: batch.Collect}
	for n := range items {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("invoice-%06d", n),
			Account: fmt.Sprintf("customer-%06d", n),
			Amount:  batch.Money{Minor: int64(1000 + n), Currency: "GBP"}})
	}
	b := &batch.Batch{Provider: owner.Name, ID: "7", Draft: d}
	for n, e := range []batch.Entry{
		{Kind: batch.EntryIntent, Draft: &d},
		{Kind: batch.EntryAttempt, Step: batch.StepCreate}, {Kind: batch.EntryResult, Step: batch.StepCreate, Batch: b},
		{Kind: batch.EntryAttempt, Step: batch.StepSubmit}, {Kind: batch.EntryResult, Step: batch.StepSubmit, Batch: b},
		{Kind: batch.EntryDone, Batch: b},
	} {
		e.Seq = n + 1
		require.NoError(tb, j.Append(tb.Context(), key(reference), e))
	}
}

func TestALargeRunIsWrittenOnce(t *testing.T) {
	db := pool(t, newJournalDatabase(t))
	size := func() int64 {
		return ask[int64](t, db,
			`SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'batchway%' AND relkind = 'r'`)
	}
	before := size()
	runOf(t, open(t, db, owner), "run", 10_000)
	text := ask[int64](t, db,
		`SELECT (SELECT sum(length(entry)) FROM batchway_entries) + (SELECT sum(length(items)) FROM batchway_items)`)
	t.Logf("%d bytes of text, %d on the disk", text, size()-before)
	require.Less(t, text, int64(14<<20)/10)
	require.Less(t, size()-before, int64(14<<20)/10)
}

// asWorker returns a database as a worker sees it, which may not delete, and as its
// administrator does.
func asWorker(t *testing.T) (admin *sql.DB, role string, db *sql.DB) {
	t.Helper()
	database := newJournalDatabase(t)
	admin, role = pool(t, database), "worker_"+database
	do(t, admin, "CREATE ROLE "+role+" LOGIN")
	do(t, admin, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "+role)
	db, err := sql.Open("postgres", postgres.DSN(database)+" options='-c role="+role+"'")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return admin, role, db
}

// A worker that may not delete cannot prune, and nothing is half removed.
func TestPruneNeedsTheRightToDelete(t *testing.T) {
	admin, role, db := asWorker(t)
	j := open(t, db, owner)
	require.NoError(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryDone)))
	prune := func() (int, error) {
		return j.Prune(t.Context(), time.Now().AddDate(1, 0, 0), func(batch.History) error { return nil })
	}
	_, err := prune()
	require.ErrorContains(t, err, "permission denied")
	require.Equal(t, 1, lengthOf(t, j, "run"))
	do(t, admin, "GRANT DELETE ON batchway_entries, batchway_items TO "+role)
	pruned, err := prune()
	require.NoError(t, err)
	require.Equal(t, 1, pruned)
	require.EqualValues(t, 0,
		ask[int64](t, admin, "SELECT (SELECT count(*) FROM batchway_entries) + (SELECT count(*) FROM batchway_items)"))
}

// Erase deletes lists of items, and all or nothing of a history is changed.
func TestEraseNeedsTheRightToDelete(t *testing.T) {
	const person = "064-21-555-0199"
	isPerson := func(item batch.Item) bool { return item.Account == person }
	admin, role, db := asWorker(t)
	j := open(t, db, owner)
	d := batch.Draft{Reference: "run", Items: []batch.Item{{Reference: "a", Account: person},
		{Reference: "b", Account: "other"}}}
	for seq, e := range []batch.Entry{{Kind: batch.EntryIntent, Draft: &d},
		{Kind: batch.EntryDone, Batch: &batch.Batch{ID: "7", Draft: d, Native: "PAID " + person}}} {
		e.Seq = seq + 1
		require.NoError(t, j.Append(t.Context(), key("run"), e))
	}
	copies := func() int64 {
		return ask[int64](t, admin,
			`SELECT count(*) FROM (SELECT items AS text FROM batchway_items UNION ALL SELECT entry FROM batchway_entries) all_texts
			WHERE text LIKE '%`+person+`%'`)
	}
	bytes := func() int64 { return ask[int64](t, admin, `SELECT bytes FROM batchway_histories`) }
	text := func() int64 {
		return ask[int64](t, admin,
			`SELECT ((SELECT sum(octet_length(items)) FROM batchway_items) + (SELECT sum(octet_length(entry)) FROM batchway_entries))::bigint`)
	}
	_, err := j.Erase(t.Context(), isPerson)
	require.ErrorContains(t, err, "permission denied")
	require.EqualValues(t, 2, copies())
	do(t, admin, "GRANT DELETE ON batchway_items TO "+role)
	erased, err := j.Erase(t.Context(), isPerson)
	require.NoError(t, err)
	require.Equal(t, []batch.Key{key("run")}, erased)
	require.Zero(t, copies())
	require.GreaterOrEqual(t, bytes(), text(), "what the head of the history says of its size")
}
