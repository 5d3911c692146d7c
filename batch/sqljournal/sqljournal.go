// Package sqljournal keeps a batch.Journal in a PostgreSQL database: one truth
// for many workers on many machines. Every entry is on the server's disk
// before Append returns. It works with any driver of database/sql.
//
//	err := sqljournal.Migrate(ctx, db)                  // once for each release
//	journal, err := sqljournal.Open(ctx, db, p.Info())  // one for each account
//
// The database serves any number of accounts. It holds the accounts and
// amounts of the items of every batch, and no credential. These questions it
// answers by itself:
//
//	SELECT * FROM batchway_histories WHERE last <> 'done' ORDER BY at
//	SELECT seq, at, kind, entry FROM batchway_entries WHERE reference = 'run-7' ORDER BY seq
//
// # What it asks of the database
//
// Connections straight to the primary, or through a pooler that keeps
// sessions: a lock belongs to a session, and a pooler of transactions or
// statements would give it to somebody else.
//
// Two connections for each Run at once, where db.SetMaxOpenConns is set, and
// set before Open. With fewer, runs wait for each other; one is refused.
//
// A standby that takes over must be synchronous (synchronous_standby_names):
// any other may lack the newest entries, and does not know what was sent. The
// same holds for a backup. After either, ask the service about every batch
// since.
package sqljournal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// format is the version of the text of an entry.
const format = 1

// Journal is a batch.Journal in a database, for one account. What it keeps of
// others is not seen through it.
type Journal struct {
	db    *sql.DB
	owner batch.Key     // without a reference
	here  batch.Locks   // of each key, one caller in this process asks the database
	slots chan struct{} // a token for each connection under a lock; nil without a limit

	mu       sync.Mutex
	poisoned error // the first failed write: nothing is written after it
}

// Open opens the journal in db for the account of owner (as Provider.Info
// returns it). There is nothing to close; db stays the caller's.
//
// It refuses, with an error that says what to do, a database without the
// journal's tables, or with older or newer ones, one that is read-only, that
// does not keep what it acknowledges, or that cannot keep every text, and a
// pool of one connection.
func Open(ctx context.Context, db *sql.DB, owner batch.Info) (*Journal, error) {
	j := &Journal{db: db, owner: batch.Key{Provider: owner.Name, Account: owner.Account}}
	if err := j.refuse(j.owner); err != nil {
		return nil, err
	}
	switch limit := db.Stats().MaxOpenConnections; limit {
	case 0:
	case 1:
		return nil, errors.New("journal: a pool of one connection cannot hold a lock and write: SetMaxOpenConns to two for each Run at once")
	default:
		// One connection stays free of locks, so that whoever holds one can write.
		j.slots = make(chan struct{}, limit-1)
	}
	if err := checkServer(ctx, db); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := checkSchema(ctx, db, len(migrations)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// checkServer refuses a server that could lose an entry or cannot take one.
func checkServer(ctx context.Context, db *sql.DB) error {
	var fsync, readOnly, encoding string
	err := db.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('transaction_read_only'), current_setting('server_encoding')`).
		Scan(&fsync, &readOnly, &encoding)
	switch {
	case err != nil:
		return err
	case fsync != "on":
		return fmt.Errorf("the server has fsync = %s, and forgets what it acknowledged when its machine stops: set it to on, or use another server", fsync)
	case readOnly != "off":
		return errors.New("the server is a standby, or read-only by its settings: connect to the primary, and allow writing")
	case encoding != "UTF8":
		return fmt.Errorf("the database is encoded in %s, and cannot keep every text: create one with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// refuse says why key has no place in this journal: Run never asks for such.
func (j *Journal) refuse(key batch.Key) error {
	if key.Provider != j.owner.Provider || key.Account != j.owner.Account {
		return &batch.Error{Kind: batch.ErrInvalid, Op: "Journal",
			Message: fmt.Sprintf("the journal was opened for %s of %s, not for %s of %s: open one for that account",
				j.owner.Account, j.owner.Provider, key.Account, key.Provider)}
	}
	for _, text := range []string{key.Provider, key.Account, key.Reference} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return &batch.Error{Kind: batch.ErrInvalid, Op: "Journal",
				Message: fmt.Sprintf("%q is not a text that a database can keep", text)}
		}
	}
	return nil
}

// Lock waits until no other process and no other caller has key, or ctx ends.
//
// The lock belongs to a session of the database: it ends with the process, and
// also when the connection breaks, which its holder does not hear of. Whoever
// comes next then reads the history and goes on from it, and of the two the
// one who is late to Append gets ErrConflict before anything is sent: money
// rests on Append, and the lock only keeps two from the same work. A machine
// that vanishes from the network keeps its locks until the server's
// tcp_keepalives miss it.
func (j *Journal) Lock(ctx context.Context, key batch.Key) (unlock func(), err error) {
	if err := j.refuse(key); err != nil {
		return nil, err
	}
	leave, err := j.here.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	// Waiting inside the server would occupy a connection, hold up vacuum and
	// end with the statement_timeout.
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		release, err := j.tryLock(ctx, lockID(key))
		if err == nil && release != nil {
			return func() { release(); leave() }, nil
		}
		if err == nil {
			err = sleep(ctx, wait)
		}
		if err != nil {
			leave()
			return nil, err
		}
	}
}

// tryLock returns nil without an error if another session has the lock, or if
// its own had ended before it could ask.
func (j *Journal) tryLock(ctx context.Context, id int64) (release func(), err error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if release == nil {
			j.exit()
		}
	}()
	conn, err := j.db.Conn(ctx)
	if err != nil {
		return nil, failed(ctx, err)
	}
	var held bool
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, id).Scan(&held)
	switch {
	case err != nil:
		discard(conn) // It may have the lock all the same.
		if errors.Is(err, driver.ErrBadConn) && ctx.Err() == nil {
			return nil, nil
		}
		return nil, failed(ctx, err)
	case !held:
		return nil, failed(ctx, conn.Close())
	}
	return func() {
		defer j.exit()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		var released bool
		err := conn.QueryRowContext(ctx, `SELECT pg_advisory_unlock($1)`, id).Scan(&released)
		if err != nil || !released {
			discard(conn)
			return
		}
		_ = conn.Close() // Back to the pool.
	}, nil
}

// enter waits until one more connection may be under a lock.
func (j *Journal) enter(ctx context.Context) error {
	if j.slots == nil {
		return nil
	}
	select {
	case j.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *Journal) exit() {
	if j.slots != nil {
		<-j.slots
	}
}

// discard ends the session, and with it every lock that it may have.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// failed is err, or what is behind it: drivers have their own words for a
// context that has ended.
func failed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lockID is the number of the lock of key. Two keys of one number, if ever,
// only wait for each other.
func lockID(key batch.Key) int64 {
	// Three strings always marshal.
	text, _ := json.Marshal(key)
	sum := sha256.Sum256(append([]byte("batchway "), text...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// History returns the entries of key, oldest first. One that is not complete,
// or that a newer version has written to, is an error.
func (j *Journal) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	if err := j.refuse(key); err != nil {
		return nil, err
	}
	history, err := j.read(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("the history of %q: %w", key.Reference, failed(ctx, err))
	}
	return history, nil
}

func (j *Journal) read(ctx context.Context, key batch.Key) (history []batch.Entry, err error) {
	// One statement sees one moment. A history whose entries are gone is a row too.
	rows, err := j.db.QueryContext(ctx, `
		SELECT h.entries, h.last, coalesce(e.seq, 0), coalesce(e.kind, ''), coalesce(e.format, 0), coalesce(e.entry, '')
		FROM batchway_histories h LEFT JOIN batchway_entries e USING (provider, account, reference)
		WHERE provider = $1 AND account = $2 AND reference = $3
		ORDER BY e.seq`, key.Provider, key.Account, key.Reference)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var entries int
	var last batch.EntryKind
	for rows.Next() {
		var seq, version int
		var kind batch.EntryKind
		var text string
		if err := rows.Scan(&entries, &last, &seq, &kind, &version, &text); err != nil {
			return nil, err
		}
		e, err := decode(len(history)+1, seq, kind, version, text)
		if err != nil {
			return nil, err
		}
		history = append(history, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if n := len(history); n != entries || n > 0 && history[n-1].Kind != last {
		return nil, damaged(fmt.Sprintf("%d entries, the last of kind %q, were written, and there are %d", entries, last, n))
	}
	return history, nil
}

// decode returns the entry of a row, which must be the next of its history.
func decode(next, seq int, kind batch.EntryKind, version int, text string) (e batch.Entry, err error) {
	switch {
	case version > format:
		return e, fmt.Errorf("entry %d has format %d, and this version reads %d: use the version that wrote it", seq, version, format)
	case seq != next:
		return e, damaged(fmt.Sprintf("entry %d is missing", next))
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return e, damaged(fmt.Sprintf("entry %d: %v", seq, err))
	}
	if e.Seq != seq || e.Kind != kind {
		return e, damaged(fmt.Sprintf("entry %d of kind %q holds entry %d of kind %q", seq, kind, e.Seq, e.Kind))
	}
	return e, nil
}

func damaged(what string) error {
	return fmt.Errorf("is damaged (%s): keep the database, restore a good copy, and ask the service about every batch since", what)
}

// Append adds the next entry to the history of key, on the server's disk. The
// database lets one of two writers through, wherever they are.
func (j *Journal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if err := j.refuse(key); err != nil {
		return err
	}
	return j.write(ctx, func(tx *sql.Tx) error {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		at := e.At.UTC()
		var moved sql.Result
		// A writer who comes second waits here for the end of the first, and
		// then finds the history ahead of what it expects.
		if e.Seq == 1 {
			moved, err = tx.ExecContext(ctx, `
				INSERT INTO batchway_histories (provider, account, reference, entries, last, at)
				VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING`,
				key.Provider, key.Account, key.Reference, string(e.Kind), at)
		} else {
			moved, err = tx.ExecContext(ctx, `
				UPDATE batchway_histories SET entries = entries + 1, last = $5, at = $6
				WHERE provider = $1 AND account = $2 AND reference = $3 AND entries = $4`,
				key.Provider, key.Account, key.Reference, e.Seq-1, string(e.Kind), at)
		}
		if err != nil {
			return err
		}
		if rows, err := moved.RowsAffected(); err != nil {
			return err
		} else if rows == 0 {
			return &batch.Error{Kind: batch.ErrConflict, Op: "Journal",
				Message: fmt.Sprintf("entry %d of %q is not the next", e.Seq, key.Reference)}
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO batchway_entries (provider, account, reference, seq, kind, at, format, entry)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			key.Provider, key.Account, key.Reference, e.Seq, string(e.Kind), at, format, string(text))
		return err
	})
}

// Open yields the keys of the histories that are not done. A Journal has one
// owner: for any other there are none.
func (j *Journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.Key, error] {
	return func(yield func(batch.Key, error) bool) {
		if provider != j.owner.Provider || account != j.owner.Account {
			return
		}
		open, err := j.open(ctx)
		// The connection is back in the pool before anything else can want it.
		for _, key := range open {
			if !yield(key, nil) {
				return
			}
		}
		if err != nil {
			yield(batch.Key{}, failed(ctx, err))
		}
	}
}

func (j *Journal) open(ctx context.Context) (open []batch.Key, err error) {
	rows, err := j.db.QueryContext(ctx, `
		SELECT reference FROM batchway_histories
		WHERE provider = $1 AND account = $2 AND last <> 'done'
		ORDER BY at`, j.owner.Provider, j.owner.Account)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		key := j.owner
		if err := rows.Scan(&key.Reference); err != nil {
			return open, err
		}
		open = append(open, key)
	}
	return open, rows.Err()
}

// Next returns the next number of a sequence of this account.
func (j *Journal) Next(ctx context.Context, sequence string, first int64) (next int64, err error) {
	key := j.owner
	key.Reference = sequence
	if err := j.refuse(key); err != nil {
		return 0, err
	}
	err = j.write(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO batchway_sequences AS s (provider, account, name, last)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (provider, account, name) DO UPDATE SET last = greatest(s.last + 1, excluded.last)
			RETURNING last`,
			key.Provider, key.Account, sequence, first).Scan(&next)
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// write runs one durable transaction, unless one has failed before.
func (j *Journal) write(ctx context.Context, change func(*sql.Tx) error) error {
	j.mu.Lock()
	poisoned := j.poisoned
	j.mu.Unlock()
	if poisoned != nil {
		return fmt.Errorf("the journal has failed before and must be opened anew: %w", poisoned)
	}
	err := transact(ctx, j.db, change)
	if err != nil && !errors.Is(err, batch.ErrConflict) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.poisoned == nil {
			j.poisoned = err
		}
	}
	return err
}

// transact runs change in a transaction that is durable when it returns nil.
// Nothing in it is tried twice: database/sql repeats only the BEGIN.
func transact(ctx context.Context, db *sql.DB, change func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // It has nothing to say after Commit.
	if _, err := tx.ExecContext(ctx, `SET LOCAL synchronous_commit TO on`); err != nil {
		return err
	}
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	// A server whose wait for its standby is cancelled reports success.
	return ctx.Err()
}
