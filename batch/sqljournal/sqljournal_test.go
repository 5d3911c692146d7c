package sqljournal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/internal/pgtest"
)

var owner = batch.Info{Name: "test", Account: "sandbox.test/1"}

func key(reference string) batch.Key {
	return batch.Key{Provider: owner.Name, Account: owner.Account, Reference: reference}
}

func entry(seq int, kind batch.EntryKind) batch.Entry {
	return batch.Entry{Seq: seq, Kind: kind, At: time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)}
}

var (
	migrated sync.Once
	template string
)

// newJournalDatabase makes a database with the journal's tables.
func newJournalDatabase(t testing.TB) string {
	t.Helper()
	needServer(t)
	migrated.Do(func() {
		name := newDatabase(t)
		db, err := sql.Open("postgres", postgres.DSN(name)) // A template has no connection when it is copied.
		require.NoError(t, err)
		require.NoError(t, sqljournal.Migrate(context.Background(), db))
		require.NoError(t, db.Close())
		template = name
	})
	require.NotEmpty(t, template, "the first migration failed")
	return newDatabase(t, "TEMPLATE", template)
}

func open(t testing.TB, db *sql.DB, owner batch.Info) *sqljournal.Journal {
	t.Helper()
	j, err := sqljournal.Open(context.Background(), db, owner)
	require.NoError(t, err)
	return j
}

// machines returns the journals of n workers, each with connections of its own.
func machines(t testing.TB, database string, owner batch.Info, n int) []*sqljournal.Journal {
	t.Helper()
	var js []*sqljournal.Journal
	for range n {
		js = append(js, open(t, pool(t, database), owner))
	}
	return js
}

func lengthOf(t *testing.T, j batch.Journal, reference string) int {
	t.Helper()
	history, err := j.History(t.Context(), key(reference))
	require.NoError(t, err)
	return len(history)
}

func TestConformance(t *testing.T) {
	batchtest.RunJournal(t, func(t *testing.T) batchtest.JournalSubject {
		database := newJournalDatabase(t)
		db := pool(t, database)
		return batchtest.JournalSubject{Journal: open(t, db, owner), Owner: owner, Beside: beside(database),
			Reopen: func(t *testing.T) batch.Journal {
				require.NoError(t, db.Close())
				db = pool(t, database)
				return open(t, db, owner)
			}}
	})
}

// beside opens the journal of another account in the same database.
func beside(database string) func(t *testing.T, owner batch.Info) batch.Journal {
	return func(t *testing.T, owner batch.Info) batch.Journal { return open(t, pool(t, database), owner) }
}

// The promises hold whatever else the database is used to.
func TestConformanceUnderOtherDefaults(t *testing.T) {
	batchtest.RunJournal(t, func(t *testing.T) batchtest.JournalSubject {
		database := newJournalDatabase(t)
		for _, setting := range []string{"synchronous_commit = off", "default_transaction_isolation = 'serializable'",
			"standard_conforming_strings = off", "DateStyle = 'German, DMY'", "TimeZone = 'Pacific/Auckland'"} {
			do(t, pool(t, database), "ALTER DATABASE "+database+" SET "+setting)
		}
		db := pool(t, database)
		db.SetMaxOpenConns(2) // The suite holds two locks at once.
		return batchtest.JournalSubject{Journal: open(t, db, owner), Owner: owner, Beside: beside(database)}
	})
}

func TestOfFiftyWritersOnTwoMachinesOneWins(t *testing.T) {
	js := machines(t, newJournalDatabase(t), owner, 2)
	for seq := 1; seq <= 10; seq++ {
		var won atomic.Int64
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				err := js[n%2].Append(t.Context(), key("run"), entry(seq, batch.EntryAttempt))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, batch.ErrConflict) {
					t.Errorf("a losing writer got %v; it must get ErrConflict", err)
				}
			})
		}
		// A writer who is ahead gets in after the winner, or not at all.
		wg.Go(func() {
			if err := js[0].Append(t.Context(), key("run"), entry(seq+2, batch.EntryAttempt)); !errors.Is(err,
				batch.ErrConflict) {
				t.Errorf("an entry that leaves a gap got %v; it must get ErrConflict", err)
			}
		})
		wg.Wait()
		require.EqualValues(t, 1, won.Load(), "so many of 50 writers wrote entry %d", seq)
		require.Equal(t, seq, lengthOf(t, js[1], "run"))
	}
}

// Two machines that claim the same names in any order: each name has one
// holder, and neither machine waits for the other for ever.
func TestANameHasOneHolderOnTwoMachines(t *testing.T) {
	database := newJournalDatabase(t)
	js := machines(t, database, owner, 2)
	won := make([]int, 2)
	var wg sync.WaitGroup
	for machine, j := range js {
		wg.Go(func() {
			reference := fmt.Sprint("run-", machine)
			for round, seq := 0, 1; round < 500; round++ {
				a, b := fmt.Sprint("a-", round), fmt.Sprint("b-", round)
				e := entry(seq, batch.EntryAttempt)
				e.Claims = []string{a, b}
				if machine == 1 {
					e.Claims = []string{b, a}
				}
				err := j.Append(t.Context(), key(reference), e)
				var claimed *batch.ClaimedError
				switch {
				case err == nil:
					won[machine]++
					seq++
				case errors.As(err, &claimed) && claimed.Holder == key(fmt.Sprint("run-", 1-machine)):
				default:
					t.Errorf("round %d of %s: %v", round, reference, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("the machines have won %v", won)
	require.Equal(t, 500, won[0]+won[1])
	require.EqualValues(t, 1000, ask[int64](t, pool(t, database), "SELECT count(*) FROM batchway_claims WHERE held"))
}

// Names that move both ways at once: what one releases, the other claims.
func TestNamesThatAreExchangedDoNotDeadlock(t *testing.T) {
	js := machines(t, newJournalDatabase(t), owner, 2)
	first := entry(1, batch.EntryIntent)
	for machine, j := range js {
		first.Claims = []string{fmt.Sprint("name-", machine)}
		require.NoError(t, j.Append(t.Context(), key(fmt.Sprint("run-", machine)), first))
	}
	for range 200 {
		var wg sync.WaitGroup
		for machine, j := range js {
			wg.Go(func() {
				e := entry(2, batch.EntryAttempt)
				e.Releases, e.Claims = []string{fmt.Sprint("name-", machine)}, []string{fmt.Sprint("name-", 1-machine)}
				// The other holds it until its own entry is in, which this one keeps out.
				var claimed *batch.ClaimedError
				if err := j.Append(t.Context(), key(fmt.Sprint("run-", machine)), e); !errors.As(err, &claimed) {
					t.Errorf("run-%d: %v", machine, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestTheLockOfOneMachineExcludesTheOther(t *testing.T) {
	js := machines(t, newJournalDatabase(t), owner, 2)
	unlock, err := js[0].Lock(t.Context(), key("run"))
	require.NoError(t, err)

	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = js[1].Lock(impatient, key("run"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	other, err := js[1].Lock(t.Context(), key("other"))
	require.NoError(t, err, "the lock of one key keeps another's away")
	other()

	unlock()
	again, err := js[1].Lock(t.Context(), key("run"))
	require.NoError(t, err)
	again()
}

// holders is the number of sessions with a lock in the database.
const holders = `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
	WHERE l.locktype = 'advisory' AND d.datname = current_database()`

func TestALockThatIsLostLosesNoMoney(t *testing.T) {
	database := newJournalDatabase(t)
	js := machines(t, database, owner, 3)
	admin := pool(t, database)
	unlock, err := js[0].Lock(t.Context(), key("run"))
	require.NoError(t, err)
	require.NoError(t, js[0].Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))

	do(t, admin, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE l.locktype = 'advisory' AND d.datname = current_database()`)
	second, err := js[1].Lock(t.Context(), key("run"))
	require.NoError(t, err)
	require.NoError(t, js[1].Append(t.Context(), key("run"), entry(2, batch.EntryAttempt)))

	// The first thinks that it has the lock still.
	err = js[0].Append(t.Context(), key("run"), entry(2, batch.EntryAttempt))
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, 2, lengthOf(t, js[2], "run"))

	unlock() // What it gives back is not the second's.
	require.EqualValues(t, 1, ask[int64](t, admin, holders))
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = js[2].Lock(impatient, key("run"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	second()
	require.EqualValues(t, 0, ask[int64](t, admin, holders))
	third, err := js[0].Lock(t.Context(), key("run"))
	require.NoError(t, err, "a lock that was lost does not keep its loser away")
	third()
}

func TestNoLockIsLeftBehind(t *testing.T) {
	database := newJournalDatabase(t)
	j := machines(t, database, owner, 1)[0]
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			// Ends before, amid and after the asking.
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*50*time.Microsecond)
			defer cancel()
			if unlock, err := j.Lock(ctx, key(fmt.Sprint("run-", n%10))); err == nil {
				unlock()
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a lock that nobody waits for any more gave %v", err)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return ask[int64](t, pool(t, database), holders) == 0 }, 10*time.Second,
		5*time.Millisecond)
}

// All locks of a journal are on one connection, which no caller breaks by
// giving up.
func TestWhoeverGivesUpTakesNobodysLock(t *testing.T) {
	js := machines(t, newJournalDatabase(t), owner, 2)
	unlock, err := js[0].Lock(t.Context(), key("run"))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*50*time.Microsecond)
			defer cancel()
			if unlock, err := js[0].Lock(ctx, key(fmt.Sprint("run-", n))); err == nil {
				unlock()
			}
		})
	}
	wg.Wait()
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = js[1].Lock(impatient, key("run"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	unlock()
	again, err := js[1].Lock(t.Context(), key("run"))
	require.NoError(t, err)
	again()
}

// A caller who heard of a failure does not have the lock, so nobody does.
func TestALockWhoseAnswerMakesNoSenseIsGivenBack(t *testing.T) {
	database := newJournalDatabase(t)
	do(t, pool(t, database), `CREATE FUNCTION pg_try_advisory_lock(bigint) RETURNS text LANGUAGE sql AS
		$$ SELECT 'perhaps ' || pg_catalog.pg_try_advisory_lock($1) $$`)
	do(t, pool(t, database), "ALTER DATABASE "+database+" SET search_path = public, pg_catalog")
	_, err := machines(t, database, owner, 1)[0].Lock(t.Context(), key("run"))
	require.ErrorContains(t, err, "perhaps true")
	require.Eventually(t, func() bool { return ask[int64](t, pool(t, database), holders) == 0 }, 10*time.Second,
		5*time.Millisecond)
}

func TestMoneyMovesOnceFromTwoMachines(t *testing.T) {
	service := batchtest.NewMemory(batchtest.MemoryOptions{})
	draft := batch.Draft{Reference: "run", Direction: batch.Collect,
		Items: []batch.Item{{Reference: "a", Account: "1", Amount: batch.Money{Minor: 100, Currency: "GBP"}}}}
	database := newJournalDatabase(t)
	js := machines(t, database, service.Info(), 2)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			report, err := batch.Run(t.Context(), service, draft, &batch.RunOptions{
				Journal: js[n%2], Watch: batch.WatchOptions{Interval: time.Millisecond}})
			if err != nil || report.Batch.State != batch.StateDone {
				t.Errorf("run %d ended %q, %v", n, report.Batch.State, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[string]int{"a": 1}, service.Moved())
	require.Equal(t, 1, service.Submits())
	require.EqualValues(t, 6, ask[int64](t, pool(t, database), "SELECT count(*) FROM batchway_entries"),
		"intent, two attempts with results, and done")
}

// run sees a batch of one item through.
func run(ctx context.Context, p batch.Provider, j batch.Journal, reference string) error {
	draft := batch.Draft{Reference: reference, Direction: batch.Collect,
		Items: []batch.Item{{Reference: "item-" + reference, Account: "1",
			Amount: batch.Money{Minor: 100, Currency: "GBP"}}}}
	_, err := batch.Run(ctx, p, draft,
		&batch.RunOptions{Journal: j, Watch: batch.WatchOptions{Interval: time.Millisecond}})
	return err
}

func TestASmallPoolServesManyRuns(t *testing.T) {
	for name, c := range map[string]struct{ accounts, connections int }{
		"one account, two connections":      {1, 2},
		"two accounts, three connections":   {2, 3},
		"two accounts, four connections":    {2, 4},
		"seven accounts, eight connections": {7, 8},
	} {
		t.Run(name, func(t *testing.T) {
			db := pool(t, newJournalDatabase(t))
			db.SetMaxOpenConns(c.connections)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for account := range c.accounts {
				service := batchtest.NewMemory(batchtest.MemoryOptions{Name: fmt.Sprint("service-", account)})
				j := open(t, db, service.Info())
				for n := range 10 {
					wg.Go(func() {
						if err := run(ctx, service, j, fmt.Sprint("run-", n)); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// Nobody waits for ever for a connection that will not come.
func TestAPoolThatIsTooSmallIsAnError(t *testing.T) {
	database := newJournalDatabase(t)
	synctest.Test(t, func(t *testing.T) {
		db := pool(t, database)
		db.SetMaxOpenConns(2)
		one, two := open(t, db, owner), open(t, db, batch.Info{Name: owner.Name, Account: "live.test/1"})
		first, err := one.Lock(t.Context(), key("run"))
		require.NoError(t, err)
		second, err := two.Lock(t.Context(), batch.Key{Provider: owner.Name, Account: "live.test/1", Reference: "run"})
		require.NoError(t, err)
		for name, call := range map[string]func() error{
			"History": func() error { _, err := one.History(t.Context(), key("run")); return err },
			"Append":  func() error { return one.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)) },
			"Next":    func() error { _, err := one.Next(t.Context(), "ids", 1); return err },
			"Open": func() error {
				for _, err := range one.Open(t.Context(), owner.Name, owner.Account) {
					return err
				}
				return nil
			},
		} {
			began := time.Now()
			err := call()
			require.Equal(t, 30*time.Second, time.Since(began), name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorContains(t, err, "one for each journal in use, and one more", name)
		}
		second()
		require.NoError(t, one.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)),
			"nothing was written, so nothing is poisoned")
		first()
		require.NoError(t, db.Close())
	})
}

func TestOnlyAWriteOfUnknownOutcomePoisonsTheJournal(t *testing.T) {
	late := batch.Draft{Date: time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)}
	good := entry(2, batch.EntryAttempt)
	for name, c := range map[string]struct {
		spoil   string // the database
		ended   bool   // the context
		entry   batch.Entry
		want    string
		poisons bool
	}{
		"an entry that is not the next": {"", false, entry(1, batch.EntryIntent), "is not the next", false},
		"an entry that cannot be encoded": {"", false, batch.Entry{Seq: 2, Kind: batch.EntryIntent, Draft: &late},
			"cannot be written down", false},
		"a context that has ended before": {"", true, good, "context canceled", false},
		"a statement that the server refuses": {"ALTER TABLE batchway_entries ADD CONSTRAINT no CHECK (seq < 2)", false,
			good, "no", false},
		"a connection that breaks before the COMMIT": {`CREATE TRIGGER spoil AFTER INSERT ON batchway_entries
			FOR EACH ROW EXECUTE FUNCTION spoil()`, false, good, "", true},
		"a connection that breaks in the COMMIT": {`CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON batchway_entries
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spoil()`, false, good, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			db := pool(t, newJournalDatabase(t))
			do(t, db, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`)
			j := open(t, db, owner)
			require.NoError(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
			if c.spoil != "" {
				do(t, db, c.spoil)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.ended {
				cancel()
			}
			first := j.Append(ctx, key("run"), c.entry)
			require.Error(t, first)
			require.ErrorContains(t, first, c.want)
			require.Equal(t, 1, lengthOf(t, j, "run"))

			do(t, db, "DROP TRIGGER IF EXISTS spoil ON batchway_entries")
			do(t, db, "ALTER TABLE batchway_entries DROP CONSTRAINT IF EXISTS no")
			second := j.Append(t.Context(), key("run"), good)
			if c.poisons {
				require.ErrorContains(t, second, "must be opened anew")
				require.ErrorIs(t, second, first)
				j = open(t, db, owner)
				second = j.Append(t.Context(), key("run"), good)
			}
			require.NoError(t, second)
			require.Equal(t, 2, lengthOf(t, j, "run"))
		})
	}
}

// A caller who gives up while a number is made costs the others nothing.
func TestAnUnknownNumberPoisonsNothing(t *testing.T) {
	db := pool(t, newJournalDatabase(t))
	do(t, db, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`)
	do(t, db, `CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON batchway_sequences
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spoil()`)
	j := open(t, db, owner)
	_, err := j.Next(t.Context(), "ids", 1)
	require.Error(t, err)
	do(t, db, "DROP TRIGGER spoil ON batchway_sequences")
	n, err := j.Next(t.Context(), "ids", 1)
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
}

// PostgreSQL reports success when its wait for a standby is cancelled.
func TestACommitThatTheStandbyDidNotConfirmIsNotBelieved(t *testing.T) {
	database := newJournalDatabase(t)
	j := machines(t, database, owner, 1)[0]
	do(t, pool(t, database), "CREATE TABLE seen (n integer)")
	configure(t, "synchronous_standby_names", "nobody")
	require.Eventually(t, func() bool { // Another process of the server lets commits wait.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _ = pool(t, database).ExecContext(ctx, "INSERT INTO seen VALUES (1)")
		return ctx.Err() != nil
	}, pgtest.Patience, 5*time.Millisecond)
	for _, write := range []func(context.Context) error{
		func(ctx context.Context) error { return j.Append(ctx, key("run"), entry(1, batch.EntryIntent)) },
		func(ctx context.Context) error { _, err := j.Next(ctx, "ids", 1); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		require.Error(t, write(ctx))
		cancel()
	}
	require.ErrorContains(t, j.Append(t.Context(), key("run"), entry(2, batch.EntryAttempt)), "must be opened anew")
}

func TestEveryWriteIsDurableWhateverTheDefault(t *testing.T) {
	database := newJournalDatabase(t)
	admin := pool(t, database)
	do(t, admin, "ALTER DATABASE "+database+" SET synchronous_commit = off")
	do(t, admin, "CREATE TABLE seen (setting text)")
	do(t, admin, `CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO seen VALUES (TG_TABLE_NAME || ' ' || current_setting('synchronous_commit')); RETURN NEW; END $$`)
	do(t, admin, "CREATE TRIGGER see BEFORE INSERT ON batchway_entries FOR EACH ROW EXECUTE FUNCTION see()")
	do(t, admin, "CREATE TRIGGER see BEFORE INSERT ON batchway_sequences FOR EACH ROW EXECUTE FUNCTION see()")
	db := pool(t, database)
	require.Equal(t, "off", ask[string](t, db, "SHOW synchronous_commit"))
	j := open(t, db, owner)
	require.NoError(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
	_, err := j.Next(t.Context(), "ids", 1)
	require.NoError(t, err)
	require.Equal(t, "batchway_entries on, batchway_sequences on",
		ask[string](t, db, "SELECT string_agg(setting, ', ' ORDER BY setting) FROM seen"))
	require.Equal(t, "off", ask[string](t, db, "SHOW synchronous_commit"), "the pool's connections are as they were")
}

// What was acknowledged before the server lost its power is there after it.
func TestEntriesSurviveTheServer(t *testing.T) {
	database := newJournalDatabase(t)
	db := pool(t, database)
	acknowledged := 0
	for round := range 3 {
		j := open(t, db, owner)
		enough := make(chan struct{})
		failed := make(chan error, 1)
		go func() {
			for n := 1; ; n++ {
				if err := j.Append(context.Background(), key("run"),
					entry(acknowledged+1, batch.EntryAttempt)); err != nil {
					failed <- err
					return
				}
				if acknowledged++; n == 25 {
					close(enough)
				}
			}
		}()
		select {
		case <-enough:
		case err := <-failed:
			t.Fatalf("the server is alive, and Append gave %v", err)
		}
		killServer(t) // between any two bytes
		require.Error(t, <-failed)
		require.Error(t, j.Append(t.Context(), key("run"), entry(acknowledged+1, batch.EntryAttempt)),
			"the journal does not know what it holds")
		require.NoError(t, postgres.Start())

		// One more may have been kept than was acknowledged.
		db = pool(t, database)
		kept := lengthOf(t, open(t, db, owner), "run")
		t.Logf("round %d: %d acknowledged, %d kept", round, acknowledged, kept)
		require.GreaterOrEqual(t, kept, acknowledged)
		require.LessOrEqual(t, kept, acknowledged+1)
		acknowledged = kept
	}
}

// A pool full of connections to a server that was restarted refuses nothing,
// and poisons nothing.
func TestStaleConnectionsRefuseNothing(t *testing.T) {
	const connections = 5
	restarted := map[string]func(t *testing.T){}
	for name, call := range map[string]func(t *testing.T, db *sql.DB, j *sqljournal.Journal) error{
		"Lock": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			unlock, err := j.Lock(t.Context(), key("run"))
			if err == nil {
				unlock()
			}
			return err
		},
		"History": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			_, err := j.History(t.Context(), key("run"))
			return err
		},
		"Append": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			return j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent))
		},
		"Next": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			_, err := j.Next(t.Context(), "ids", 1)
			return err
		},
		"Open of a journal": func(t *testing.T, db *sql.DB, _ *sqljournal.Journal) error {
			_, err := sqljournal.Open(t.Context(), db, owner)
			return err
		},
		"Open": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			for _, err := range j.Open(t.Context(), owner.Name, owner.Account) {
				return err
			}
			return nil
		},
		"Lock of a journal that has locks": func(t *testing.T, _ *sql.DB, j *sqljournal.Journal) error {
			unlock, err := j.Lock(t.Context(), key("run-2"))
			if err == nil {
				unlock()
			}
			return err
		},
	} {
		db := pool(t, newJournalDatabase(t))
		db.SetMaxIdleConns(connections)
		j := open(t, db, owner)
		if name == "Lock of a journal that has locks" {
			unlock, err := j.Lock(t.Context(), key("run-1"))
			require.NoError(t, err)
			defer unlock()
		}
		var conns []*sql.Conn
		for range connections {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
		require.Equal(t, connections, db.Stats().Idle)
		restarted[name] = func(t *testing.T) {
			require.NoError(t, call(t, db, j))
			require.NoError(t, j.Append(t.Context(), key("other"), entry(1, batch.EntryIntent)))
		}
	}
	killServer(t)
	require.NoError(t, postgres.Start())
	for name, test := range restarted {
		t.Run(name, test)
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, db *sql.DB, database string)
		want  string
	}{
		"no tables": {func(t *testing.T, db *sql.DB, _ string) {
			do(t, db, "DROP TABLE batchway_migrations")
		}, "call Migrate"},
		"tables in another schema": {func(t *testing.T, db *sql.DB, database string) {
			do(t, db, "ALTER DATABASE "+database+" SET search_path = elsewhere")
		}, "not on the search_path"},
		"a newer version": {func(t *testing.T, db *sql.DB, _ string) {
			do(t, db, "INSERT INTO batchway_migrations (version) VALUES (2)")
		}, "tables are of version 2, and this version knows 1: use the version that made them"},
		"a server that forgets": {func(t *testing.T, _ *sql.DB, _ string) {
			configure(t, "fsync", "off")
		}, "fsync = off"},
		"a server that only reads": {func(t *testing.T, db *sql.DB, database string) {
			do(t, db, "ALTER DATABASE "+database+" SET default_transaction_read_only = on")
		}, "connect to the primary"},
	} {
		t.Run(name, func(t *testing.T) {
			database := newJournalDatabase(t)
			open(t, pool(t, database), owner)
			c.spoil(t, pool(t, database), database)
			_, err := sqljournal.Open(t.Context(), pool(t, database), owner)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "journal: ")
		})
	}
	t.Run("an encoding without every text", func(t *testing.T) {
		db := pool(t, newDatabase(t, "ENCODING 'LATIN1' TEMPLATE template0"))
		require.NoError(t, sqljournal.Migrate(t.Context(), db))
		_, err := sqljournal.Open(t.Context(), db, owner)
		require.ErrorContains(t, err, "ENCODING 'UTF8'")
	})
	t.Run("a pool of one connection", func(t *testing.T) {
		db := pool(t, newJournalDatabase(t))
		db.SetMaxOpenConns(1)
		_, err := sqljournal.Open(t.Context(), db, owner)
		require.ErrorContains(t, err, "SetMaxOpenConns")
	})
	t.Run("no server", func(t *testing.T) {
		db := pool(t, newJournalDatabase(t))
		require.NoError(t, db.Close())
		_, err := sqljournal.Open(t.Context(), db, owner)
		require.ErrorContains(t, err, "closed")
	})
}

func TestAccountsAreApart(t *testing.T) {
	database := newJournalDatabase(t)
	db := pool(t, database)
	other := batch.Info{Name: owner.Name, Account: "live.test/1"}
	mine, theirs := open(t, db, owner), open(t, db, other)
	require.NoError(t, mine.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
	their := batch.Key{Provider: other.Name, Account: other.Account, Reference: "run"}
	require.NoError(t, theirs.Append(t.Context(), their, entry(1, batch.EntryIntent)))
	require.NoError(t, theirs.Append(t.Context(), their, entry(2, batch.EntryDone)))
	require.Equal(t, 1, lengthOf(t, mine, "run"))
	for k, err := range theirs.Open(t.Context(), other.Name, other.Account) {
		t.Errorf("open is said to be %v, %v", k, err)
	}
	for _, j := range []*sqljournal.Journal{mine, theirs} {
		n, err := j.Next(t.Context(), "ids", 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	}

	for name, k := range map[string]batch.Key{
		"another account":  their,
		"another provider": {Provider: "other", Account: owner.Account, Reference: "run"},
		"a NUL":            key("run\x00"),
		"no text":          key("run\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mine.Lock(t.Context(), k)
			require.ErrorIs(t, err, batch.ErrInvalid)
			_, err = mine.History(t.Context(), k)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorIs(t, mine.Append(t.Context(), k, entry(1, batch.EntryIntent)), batch.ErrInvalid)
		})
	}
	_, err := mine.Next(t.Context(), "ids\x00", 1)
	require.ErrorIs(t, err, batch.ErrInvalid)
	_, err = sqljournal.Open(t.Context(), db, batch.Info{Name: "test", Account: "\x00"})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.NoError(t, mine.Append(t.Context(), key("run"), entry(2, batch.EntryAttempt)),
		"what is refused at once poisons nothing")
}

func TestADamagedHistoryIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, want string
	}{
		"the newest entry lost": {"DELETE FROM batchway_entries WHERE seq = 3",
			"the last of kind \"result\", were written, and there are 2"},
		"a middle entry lost": {"DELETE FROM batchway_entries WHERE seq = 2", "entry 2 is missing"},
		"all entries lost":    {"DELETE FROM batchway_entries", "entry 1 is missing"},
		"an entry too many": {
			"INSERT INTO batchway_entries SELECT provider, account, reference, 4, 'result', at, writer, format, '{\"seq\":4,\"kind\":\"result\"}' FROM batchway_entries WHERE seq = 3",
			"3 entries, the last of kind \"result\", were written, and there are 4"},
		"an altered end": {"UPDATE batchway_histories SET last = 'done'", "the last of kind \"done\""},
		"an altered kind": {"UPDATE batchway_entries SET kind = 'done' WHERE seq = 2",
			"entry 2 of kind \"done\" holds entry 2 of kind \"attempt\""},
		"an exchanged entry": {
			"UPDATE batchway_entries SET entry = replace(entry, '\"seq\":2', '\"seq\":1') WHERE seq = 2",
			"holds entry 1"},
		"an entry that is no more": {"UPDATE batchway_entries SET entry = left(entry, -1) WHERE seq = 2", "entry 2: "},
		"a newer format": {"UPDATE batchway_entries SET format = 3 WHERE seq = 2",
			"entry 2 has format 3, and this version reads 2: use the version that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			db := pool(t, newJournalDatabase(t))
			j := open(t, db, owner)
			for n, kind := range []batch.EntryKind{batch.EntryIntent, batch.EntryAttempt, batch.EntryResult} {
				require.NoError(t, j.Append(t.Context(), key("run"), entry(n+1, kind)))
			}
			require.Equal(t, 3, lengthOf(t, j, "run"))
			do(t, db, c.spoil)
			_, err := j.History(t.Context(), key("run"))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, `"run"`)
		})
	}
	t.Run("a history without its head", func(t *testing.T) {
		db := pool(t, newJournalDatabase(t))
		require.NoError(t, open(t, db, owner).Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
		_, err := db.ExecContext(t.Context(), "DELETE FROM batchway_histories")
		require.ErrorContains(t, err, "foreign key")
	})
}

// A list of items that is not the one that was written fails the entries that
// name it, and hides no other history.
func TestADamagedHistoryHidesNoOther(t *testing.T) {
	for name, spoil := range map[string]string{
		"an entry lost": "DELETE FROM batchway_entries WHERE reference = 'b'",
		"items lost":    "DELETE FROM batchway_items WHERE reference = 'b'",
		"items altered": "UPDATE batchway_items SET items = replace(items, 'item', 'mite') WHERE reference = 'b'",
	} {
		t.Run(name, func(t *testing.T) {
			db := pool(t, newJournalDatabase(t))
			j := open(t, db, owner)
			for _, reference := range []string{"a", "b", "c"} {
				e := entry(1, batch.EntryIntent)
				e.Draft = &batch.Draft{Reference: reference, Items: []batch.Item{{Reference: "item-" + reference}}}
				require.NoError(t, j.Append(t.Context(), key(reference), e))
			}
			do(t, db, spoil)
			var good, bad []string
			for open, err := range j.Open(t.Context(), owner.Name, owner.Account) {
				if err != nil {
					require.ErrorContains(t, err, "is damaged")
					require.Empty(t, open.Entries)
					bad = append(bad, open.Key.Reference)
				} else {
					good = append(good, open.Entries[0].Draft.Items[0].Reference)
				}
			}
			require.Equal(t, []string{"item-a", "item-c"}, good)
			require.Equal(t, []string{"b"}, bad)
		})
	}
}

// A worker needs no more than it is said to need.
func TestAWorkerWithFewRights(t *testing.T) {
	database := newJournalDatabase(t)
	admin := pool(t, database)
	role := "worker_" + database
	do(t, admin, "CREATE ROLE "+role+" LOGIN")
	do(t, admin, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO "+role)
	db, err := sql.Open("postgres", postgres.DSN(database)+" options='-c role="+role+"'")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.Equal(t, role, ask[string](t, db, "SELECT current_user"))
	require.NoError(t, sqljournal.Migrate(t.Context(), db))
	j := open(t, db, owner)
	unlock, err := j.Lock(t.Context(), key("run"))
	require.NoError(t, err)
	defer unlock()
	require.NoError(t, j.Append(t.Context(), key("run"), entry(1, batch.EntryIntent)))
	require.NoError(t, j.Append(t.Context(), key("run"), entry(2, batch.EntryAttempt)))
	require.Equal(t, 2, lengthOf(t, j, "run"))
	for range 2 {
		_, err = j.Next(t.Context(), "ids", 1)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), "DELETE FROM batchway_entries")
	require.ErrorContains(t, err, "permission denied")
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			db, _ := wired(b, newJournalDatabase(b))
			db.SetMaxIdleConns(writers)
			j := open(b, db, owner)
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for n := w; n < b.N; n += writers {
						if err := j.Append(context.Background(), key(fmt.Sprint("run-", w)),
							entry(n/writers+1, batch.EntryAttempt)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// Every open history of 100,000, each with a draft of one item.
func BenchmarkOpen(b *testing.B) {
	const keys = 100_000
	database := newJournalDatabase(b)
	admin := pool(b, database)
	db, w := wired(b, database)
	j := open(b, db, owner)
	e := entry(1, batch.EntryIntent)
	e.Draft = &batch.Draft{Reference: "run",
		Items: []batch.Item{{Reference: "a", Account: "1", Amount: batch.Money{Minor: 5, Currency: "GBP"}}}}
	require.NoError(b, j.Append(b.Context(), key("run"), e))
	for _, statement := range []string{
		`INSERT INTO batchway_histories SELECT provider, account, 'run-' || n, entries, bytes, last, at, pruned FROM batchway_histories, generate_series(2, 100000) n`,
		`INSERT INTO batchway_entries SELECT provider, account, 'run-' || n, seq, kind, at, writer, format, entry FROM batchway_entries, generate_series(2, 100000) n`,
		`INSERT INTO batchway_items SELECT provider, account, 'run-' || n, digest, items FROM batchway_items, generate_series(2, 100000) n`,
		`ANALYZE`,
	} {
		do(b, admin, statement)
	}
	b.ResetTimer()
	for b.Loop() {
		var most uint64
		seen := 0
		roundTrips := w.count(func() {
			for _, err := range j.Open(b.Context(), owner.Name, owner.Account) {
				require.NoError(b, err)
				if seen++; seen%5000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapAlloc)
				}
			}
		})
		require.Equal(b, keys, seen)
		b.ReportMetric(float64(most)/(1<<20), "MB-heap")
		b.ReportMetric(float64(roundTrips), "round-trips")
	}
}

func TestTheClockIsTheServers(t *testing.T) {
	j := open(t, pool(t, newJournalDatabase(t)), owner)
	var _ batch.Clock = j
	before, err := j.Now(t.Context())
	require.NoError(t, err)
	after, err := j.Now(t.Context())
	require.NoError(t, err)
	require.False(t, after.Before(before))
	require.WithinDuration(t, time.Now(), after, time.Hour, "the server is on this machine")
}
