// Package sqljournal keeps a batch.Journal in a PostgreSQL database: one truth
// for many workers on many machines. Every entry is on the server's disk
// before Append returns. It is tested with the driver github.com/lib/pq, and
// asks of a driver only what database/sql does.
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
// Where db.SetMaxOpenConns is set, one connection for each Journal in use and
// at least one more, however many runs there are: a Journal has all its locks
// on one connection, and takes others for as long as one entry needs. A call
// that gets none for half a minute is an error; it has written nothing.
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
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// format is the version of the text of an entry.
const format = 1

// Journal is a batch.Journal in a database, for one account. What it keeps of
// others is not seen through it.
type Journal struct {
	db    *sql.DB
	owner record.Owner
	here  batch.Locks // of each key, one caller in this process asks the database

	turn    chan struct{} // holds a token while somebody has session
	session *session      // nil while there is no lock

	mu       sync.Mutex
	poisoned error // the first write of unknown outcome: nothing is written after it
}

// A session of the database has all the locks of a Journal. One for each lock
// would be a connection for each run, and runs that each hold one and want
// another wait for ever.
type session struct {
	conn  *sql.Conn
	locks int
}

// Open opens the journal in db for the account of owner (as Provider.Info
// returns it). There is nothing to close; db stays the caller's.
//
// It refuses, with an error that says what to do, a database without the
// journal's tables, or with older or newer ones, one that is read-only, that
// does not keep what it acknowledges, or that cannot keep every text, and a
// pool of one connection.
func Open(ctx context.Context, db *sql.DB, owner batch.Info) (*Journal, error) {
	account, err := record.OwnerOf(owner)
	if err != nil {
		return nil, err
	}
	j := &Journal{db: db, owner: account, turn: make(chan struct{}, 1)}
	if db.Stats().MaxOpenConnections == 1 {
		return nil, errors.New("journal: a pool of one connection cannot hold a lock and write: SetMaxOpenConns to one for each journal, and one more")
	}
	conn, err := connect(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := checkServer(ctx, conn); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := checkSchema(ctx, conn, len(migrations)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

// checkServer refuses a server that could lose an entry or cannot take one.
func checkServer(ctx context.Context, q querier) error {
	var fsync, readOnly, encoding string
	err := q.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('transaction_read_only'), current_setting('server_encoding')`).
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

// Lock waits until no other process and no other caller has key, or ctx ends.
//
// The locks of a Journal belong to one session of the database: they end with
// the process, and also when the connection breaks, which nobody hears of. Whoever
// comes next then reads the history and goes on from it, and of the two the
// one who is late to Append gets ErrConflict before anything is sent: money
// rests on Append, and the lock only keeps two from the same work. A machine
// that vanishes from the network keeps its locks until the server's
// tcp_keepalives miss it.
func (j *Journal) Lock(ctx context.Context, key batch.Key) (unlock func(), err error) {
	if err := j.owner.Refuse(key); err != nil {
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
// its own has ended since it was last asked.
func (j *Journal) tryLock(ctx context.Context, id int64) (release func(), err error) {
	select {
	case j.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-j.turn }()
	isNew := j.session == nil
	if isNew {
		conn, err := connect(ctx, j.db)
		if err != nil {
			return nil, err
		}
		j.session = &session{conn: conn}
	}
	s := j.session
	held, err := s.ask(`SELECT pg_try_advisory_lock($1)`, id)
	switch {
	case err == nil && held:
		s.locks++
		return func() { j.unlock(s, id) }, nil
	case err == nil:
		j.rest()
	default:
		j.end() // It may have the lock all the same.
		if isNew {
			return nil, failed(ctx, err)
		}
	}
	return nil, nil
}

func (j *Journal) unlock(s *session, id int64) {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if s != j.session {
		return // It has ended, and the lock with it.
	}
	s.locks--
	if released, err := s.ask(`SELECT pg_advisory_unlock($1)`, id); err != nil || !released {
		j.end()
		return
	}
	j.rest()
}

// rest gives a session without locks back to the pool.
func (j *Journal) rest() {
	if j.session.locks == 0 {
		_ = j.session.conn.Close()
		j.session = nil
	}
}

// end ends the session, and every lock that it may have.
func (j *Journal) end() {
	discard(j.session.conn)
	j.session = nil
}

// ask has a time of its own: whoever stops waiting for an answer breaks the
// connection, and all locks are on it.
func (s *session) ask(question string, id int64) (answer bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = s.conn.QueryRowContext(ctx, question, id).Scan(&answer)
	return answer, err
}

// patience is how long a call waits for a connection.
const patience = 30 * time.Second

// connect returns a connection that answers. Those that have died in the pool,
// as all do when the server restarts, are thrown away, in whatever words their
// driver says so.
func connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for stale := db.Stats().OpenConnections; ; stale-- {
		conn, err := db.Conn(waiting)
		if err == nil {
			if err = conn.PingContext(waiting); err == nil {
				return conn, nil
			}
			discard(conn)
		}
		if ended := waiting.Err(); ended != nil {
			return nil, fmt.Errorf("waiting for a connection (the pool needs one for each journal in use, and one more): %w", ended)
		}
		if conn == nil || stale <= 0 {
			return nil, err
		}
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
// wait for each other at most.
func lockID(key batch.Key) int64 {
	// Three strings always marshal.
	text, _ := json.Marshal(key)
	sum := sha256.Sum256(append([]byte("batchway "), text...))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// History returns the entries of key, oldest first. One that is not complete,
// or that a newer version has written to, is an error.
func (j *Journal) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	history, err := j.read(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("the history of %q: %w", key.Reference, failed(ctx, err))
	}
	return history, nil
}

func (j *Journal) read(ctx context.Context, key batch.Key) (history []batch.Entry, err error) {
	conn, err := connect(ctx, j.db)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// One statement sees one moment. A history whose entries are gone is a row too.
	rows, err := conn.QueryContext(ctx, `
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
//
// What failed before the COMMIT was sent has written nothing, and the journal
// goes on. If nobody knows what came of a COMMIT, every later Append is refused
// until the journal is opened anew.
func (j *Journal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if err := j.owner.Refuse(key); err != nil {
		return err
	}
	claims, releases, err := record.Names(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return &batch.Error{Kind: batch.ErrInvalid, Op: "Journal",
			Message: fmt.Sprintf("entry %d of %q cannot be written down", e.Seq, key.Reference), Err: err}
	}
	j.mu.Lock()
	poisoned := j.poisoned
	j.mu.Unlock()
	if poisoned != nil {
		return fmt.Errorf("the journal has failed before and must be opened anew: %w", poisoned)
	}
	unknown, err := transact(ctx, j.db, func(tx *sql.Tx) (err error) {
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
		if err := claim(ctx, tx, key, claims, releases); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO batchway_entries (provider, account, reference, seq, kind, at, format, entry)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			key.Provider, key.Account, key.Reference, e.Seq, string(e.Kind), at, format, string(text))
		return err
	})
	if unknown {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.poisoned = err
	}
	return err
}

// claim changes who holds names, all of them or none.
func claim(ctx context.Context, tx *sql.Tx, key batch.Key, claims, releases []string) error {
	if len(claims)+len(releases) == 0 {
		return nil
	}
	// The unique index decides: a writer who comes second waits for the end of
	// the first, and finds the name held. One order of all names for all
	// writers, or two of them wait for each other.
	var claimed int
	if err := tx.QueryRowContext(ctx, `
		WITH changed AS (
			INSERT INTO batchway_claims AS c (name, held, provider, account, reference)
			SELECT name, held, $1, $2, $3 FROM (
				SELECT json_array_elements_text($4::json) AS name, true AS held
				UNION ALL SELECT json_array_elements_text($5::json), false) names
			ORDER BY name COLLATE "C"
			ON CONFLICT (name) DO UPDATE SET held = excluded.held, provider = $1, account = $2, reference = $3
			WHERE excluded.held AND NOT c.held OR (c.provider, c.account, c.reference) = ($1, $2, $3)
			RETURNING c.held)
		SELECT count(*) FROM changed WHERE held`,
		key.Provider, key.Account, key.Reference, list(claims), list(releases)).Scan(&claimed); err != nil {
		return err
	}
	if claimed == len(claims) {
		return nil
	}
	taken := &batch.ClaimedError{}
	if err := tx.QueryRowContext(ctx, `
		SELECT name, provider, account, reference FROM batchway_claims
		WHERE name IN (SELECT json_array_elements_text($4::json)) AND held AND (provider, account, reference) <> ($1, $2, $3)
		ORDER BY name LIMIT 1`, key.Provider, key.Account, key.Reference, list(claims)).
		Scan(&taken.Name, &taken.Holder.Provider, &taken.Holder.Account, &taken.Holder.Reference); err != nil {
		return err
	}
	return taken
}

// list returns names as one argument that every driver knows.
func list(names []string) string {
	// Strings always marshal, and nil must be an empty list.
	text, _ := json.Marshal(append([]string{}, names...))
	return string(text)
}

// Open yields the histories that are not done. A Journal has one owner: asking
// for another is ErrInvalid.
func (j *Journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		if err := j.owner.RefuseAccount(provider, account); err != nil {
			yield(batch.History{}, err)
			return
		}
		open, err := j.open(ctx)
		// The connection is back in the pool before anything else can want it.
		for _, key := range open {
			entries, err := j.History(ctx, key)
			if !yield(batch.History{Key: key, Entries: entries}, err) {
				return
			}
		}
		if err != nil {
			yield(batch.History{}, failed(ctx, err))
		}
	}
}

func (j *Journal) open(ctx context.Context) (open []batch.Key, err error) {
	conn, err := connect(ctx, j.db)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	rows, err := conn.QueryContext(ctx, `
		SELECT reference FROM batchway_histories
		WHERE provider = $1 AND account = $2 AND last <> 'done'
		ORDER BY at`, j.owner.Provider, j.owner.Account)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		key := batch.Key{Provider: j.owner.Provider, Account: j.owner.Account}
		if err := rows.Scan(&key.Reference); err != nil {
			return open, err
		}
		open = append(open, key)
	}
	return open, rows.Err()
}

// Next returns the next number of a sequence of this account.
func (j *Journal) Next(ctx context.Context, sequence string, first int64) (next int64, err error) {
	if err := record.Text(sequence); err != nil {
		return 0, err
	}
	// A number that is lost on its way here is not missed.
	_, err = transact(ctx, j.db, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO batchway_sequences AS s (provider, account, name, last)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (provider, account, name) DO UPDATE SET last = greatest(s.last + 1, excluded.last)
			RETURNING last`,
			j.owner.Provider, j.owner.Account, sequence, first).Scan(&next)
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// transact runs change in a transaction that is durable when it returns nil.
// Nothing in it is tried twice. Beside an error, unknown says that it may have
// happened all the same: only what was to be committed can have.
func transact(ctx context.Context, db *sql.DB, change func(*sql.Tx) error) (unknown bool, err error) {
	conn, err := connect(ctx, db)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		discard(conn)
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // It has nothing to say after Commit.
	if _, err := tx.ExecContext(ctx, `SET LOCAL synchronous_commit TO on`); err != nil {
		return false, err
	}
	if err := change(tx); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return true, err
	}
	// A server whose wait for its standby is cancelled reports success.
	return ctx.Err() != nil, ctx.Err()
}
