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
//	SELECT digest, items FROM batchway_items WHERE reference = 'run-7'
//	SELECT * FROM batchway_claims WHERE held
//
// # What it asks of the database
//
// Connections straight to the primary, or through a pooler that keeps
// sessions: a lock belongs to a session, and a pooler of transactions or
// statements would give it to another worker.
//
// Where db.SetMaxOpenConns is set, one connection for each Journal in use and
// at least one more, however many runs there are: a Journal has all its locks
// on one connection, and takes others for as long as one entry needs. A call
// that gets none for half a minute is an error; it has written nothing.
//
// # What an entry costs
//
// An entry is one statement and one transaction. The server lets transactions
// that end at the same time share a sync of its disk. With lib/pq, add
// binary_parameters=yes to the connection string: without it every statement
// is two round trips, with it one. The items of a draft are written once for
// each history, whatever the number of its entries.
//
// If the default_transaction_isolation of the database is not read committed,
// an entry is a transaction of several statements.
//
// # What it cannot notice
//
// A standby that takes over must be synchronous (synchronous_standby_names):
// any other may lack the newest entries, and does not know what was sent. The
// same holds for a backup that was restored: the database cannot be told from
// what it was then. After either, ask the service about every batch since.
//
// If the wait of a COMMIT for its standby is canceled, PostgreSQL says COMMIT
// all the same, with a warning. If the context of the caller has ended, which
// is what cancels it as a rule, the entry is not believed. If an operator
// cancels it (pg_cancel_backend), only the warning tells, and database/sql does
// not pass warnings on: the entry is on the primary, and may be lost with it.
// Do not cancel backends that wait for SyncRep.
package sqljournal

import (
	"cmp"
	"context"
	"crypto/rand"
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

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

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
		return nil,
			errors.New(
				"journal: a pool of one connection cannot hold a lock and write: SetMaxOpenConns to one for each journal, and one more")
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
	err := q.QueryRowContext(ctx,
		`SELECT current_setting('fsync'), current_setting('transaction_read_only'), current_setting('server_encoding')`).
		Scan(&fsync, &readOnly, &encoding)
	switch {
	case err != nil:
		return err
	case fsync != "on":
		return fmt.Errorf(
			"the server has fsync = %s, and forgets what it acknowledged when its machine stops: set it to on, or use another server", fsync)
	case readOnly != "off":
		return errors.New(
			"the server is a standby, or read-only by its settings: connect to the primary, and allow writing")
	case encoding != "UTF8":
		return fmt.Errorf("the database is encoded in %s, and cannot keep every text: create one with ENCODING 'UTF8'",
			encoding)
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

// take returns a connection of the pool, which may have died there.
func take(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := db.Conn(waiting)
	if err != nil {
		return nil, waited(waiting, err)
	}
	return conn, nil
}

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
		if conn == nil || stale <= 0 || waiting.Err() != nil {
			return nil, waited(waiting, err)
		}
	}
}

// waited is err, or that waiting for a connection has ended.
func waited(waiting context.Context, err error) error {
	if ended := waiting.Err(); ended != nil {
		return fmt.Errorf("waiting for a connection (the pool needs one for each journal in use, and one more): %w",
			ended)
	}
	return err
}

// refused reports whether err is the server's word that a statement failed, so
// that it has changed nothing. An error about the connection, or about the
// server as a whole, does not say what became of the statement.
func refused(err error) bool {
	var server interface{ SQLState() string } // As drivers name it.
	if !errors.As(err, &server) {
		return false
	}
	switch state := server.SQLState(); {
	case len(state) != 5, strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "08"),
		strings.HasPrefix(state, "58"), strings.HasPrefix(state, "XX"):
		return false
	}
	return true
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

// History returns the entries of key, oldest first. Entries may share their
// items. A history that is not complete, or that a newer version has written
// to, is an error. The history of a key that was pruned is ErrConflict.
func (j *Journal) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	page, err := j.page(ctx, `reference = $5`, key.Reference)
	if err != nil {
		return nil, fmt.Errorf("the history of %q: %w", key.Reference, err)
	}
	if len(page) == 0 {
		return nil, nil
	}
	return page[0].Entries, page[0].err
}

// found is a history, or why it cannot be read.
type found struct {
	batch.History
	err error

	entries int // as many must be there
	last    batch.EntryKind
	pruned  bool
	lists   map[string]string
	items   record.Lists
}

// pageKeys and pageBytes limit what one query reads of many histories.
const (
	pageKeys  = 1000
	pageBytes = 4 << 20
)

// page reads the histories of this account for which a condition holds, in the
// order of their references. Its args begin with $5. There may be more
// histories if the page is not empty.
func (j *Journal) page(ctx context.Context, condition string, args ...any) (page []found, err error) {
	conn, err := take(ctx, j.db)
	if err != nil {
		return nil, failed(ctx, err)
	}
	page, err = j.query(ctx, conn, condition, args...)
	if err != nil && !refused(err) && ctx.Err() == nil { // It has died in the pool.
		discard(conn)
		if conn, err = connect(ctx, j.db); err != nil {
			return nil, failed(ctx, err)
		}
		page, err = j.query(ctx, conn, condition, args...)
	}
	_ = conn.Close()
	return page, failed(ctx, err)
}

func (j *Journal) query(ctx context.Context, conn *sql.Conn, condition string, args ...any) (page []found, err error) {
	// One statement sees one moment. Of a history, its lists come before its
	// entries. A history whose entries are gone is a row too. LATERAL makes it
	// look up each history, and never read whole tables.
	//nolint:gosec // Every condition is a text of this file.
	rows, err := conn.QueryContext(ctx, `
		WITH heads AS (
			SELECT *, sum(bytes) OVER (ORDER BY reference) - bytes AS before
			FROM (SELECT * FROM batchway_histories WHERE provider = $1 AND account = $2 AND `+condition+`
				ORDER BY reference LIMIT $3) h
		)
		SELECT reference, entries, last, pruned IS NOT NULL, seq, coalesce(kind, ''), coalesce(format, 0),
			coalesce(text, '')
		FROM heads h LEFT JOIN LATERAL (
			SELECT 0 AS seq, digest AS kind, 0 AS format, items AS text FROM batchway_items i
			WHERE (i.provider, i.account, i.reference) = (h.provider, h.account, h.reference)
			UNION ALL SELECT seq, kind, format, entry FROM batchway_entries e
			WHERE (e.provider, e.account, e.reference) = (h.provider, h.account, h.reference)
		) texts ON true
		WHERE before < $4
		ORDER BY reference, seq`, append([]any{j.owner.Provider, j.owner.Account, pageKeys, pageBytes}, args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		row := found{items: make(record.Lists), lists: make(map[string]string)}
		row.Key = batch.Key{Provider: j.owner.Provider, Account: j.owner.Account}
		var seq sql.NullInt64
		var kind, text string
		var format int
		if err := rows.Scan(&row.Key.Reference, &row.entries, &row.last, &row.pruned, &seq, &kind, &format,
			&text); err != nil {
			return nil, err
		}
		if n := len(page); n == 0 || page[n-1].Key != row.Key {
			page = append(page, row)
		}
		switch f := &page[len(page)-1]; {
		case f.err != nil || !seq.Valid:
		case seq.Int64 == 0:
			f.lists[kind] = text
		default:
			e, err := f.decode(int(seq.Int64), batch.EntryKind(kind), format, text)
			f.Entries, f.err = append(f.Entries, e), err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for n := range page {
		page[n].check()
	}
	return page, nil
}

// decode returns the entry of a row, which must be the next of its history.
func (f *found) decode(seq int, kind batch.EntryKind, format int, text string) (e batch.Entry, err error) {
	switch next := len(f.Entries) + 1; {
	case format != record.Format:
		return e, fmt.Errorf("entry %d has format %d, and this version reads %d: use the version that wrote it", seq,
			format, record.Format)
	case seq != next:
		return e, damaged(fmt.Sprintf("entry %d is missing", next))
	}
	e, err = record.Decode([]byte(text), func(digest string) ([]batch.Item, error) {
		return f.items.Get(digest, []byte(f.lists[digest]))
	})
	if err != nil {
		return e, damaged(fmt.Sprintf("entry %d: %v", seq, err))
	}
	if e.Seq != seq || e.Kind != kind {
		return e, damaged(fmt.Sprintf("entry %d of kind %q holds entry %d of kind %q", seq, kind, e.Seq, e.Kind))
	}
	return e, nil
}

// check finds out whether every entry was there.
func (f *found) check() {
	f.lists, f.items = nil, nil
	switch n := len(f.Entries); {
	case f.pruned:
		f.err = record.Pruned(f.Key)
	case f.err != nil:
	case n == 0:
		f.err = damaged("entry 1 is missing")
	case n != f.entries || f.Entries[n-1].Kind != f.last:
		f.err = damaged(fmt.Sprintf("%d entries, the last of kind %q, were written, and there are %d",
			f.entries, f.last, n))
	}
	if f.err != nil {
		f.Entries, f.err = nil, fmt.Errorf("the history of %q: %w", f.Key.Reference, f.err)
	}
}

func damaged(what string) error {
	return fmt.Errorf(
		"is damaged (%s): keep the database, restore a good copy, and ask the service about every batch since", what)
}

// Append adds the next entry to the history of key, on the server's disk. The
// database lets one of two writers through, wherever they are.
//
// An entry is one statement. If the connection breaks before the answer, the
// same entry is written once more: the history takes it once, and which writer
// an entry is from is written beside it. An error of which the server says
// that nothing was written leaves the journal going. If it stays unknown
// whether the entry was written, every later Append is refused until the
// journal is opened anew.
func (j *Journal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if err := j.owner.Refuse(key); err != nil {
		return err
	}
	claims, releases, err := record.Names(e)
	if err != nil {
		return err
	}
	text, lists, err := record.Encode(key, e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	poisoned := j.poisoned
	j.mu.Unlock()
	if poisoned != nil {
		return fmt.Errorf("the journal has failed before and must be opened anew: %w", poisoned)
	}
	var digests, items []string
	for _, list := range lists {
		digests, items = append(digests, list.Digest), append(items, string(list.Text))
	}
	w := write{key: key, seq: e.Seq, writer: rand.Text()}
	w.args = []any{key.Provider, key.Account, key.Reference, e.Seq, string(e.Kind), e.At.UTC(), w.writer,
		record.Format, string(text),
		strings.Join(digests, "\n"), strings.Join(items, "\n"), list(claims), list(releases)}
	unknown, err := w.run(ctx, j.db)
	if unknown {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.poisoned = err
	}
	return err
}

// list returns names as one argument that every driver knows.
func list(names []string) string {
	// Strings always marshal, and nil must be an empty list.
	text, _ := json.Marshal(append([]string{}, names...))
	return string(text)
}

// write is one Append.
type write struct {
	key    batch.Key
	seq    int
	writer string
	args   []any
}

// run writes the entry. Beside an error, unknown says that it may be written
// all the same.
func (w write) run(ctx context.Context, db *sql.DB) (unknown bool, err error) {
	conn, err := take(ctx, db)
	if err != nil {
		return false, err
	}
	outcome, err := w.call(ctx, conn)
	if lost := err; lost != nil && !refused(lost) {
		discard(conn)
		if ctx.Err() != nil {
			return true, ctx.Err()
		}
		// Once more decides: the entry is written now, or the entry that is
		// there shows its writer.
		if conn, err = connect(ctx, db); err != nil {
			return true, errors.Join(lost, failed(ctx, err))
		}
		outcome, err = w.call(ctx, conn)
		if err == nil && outcome == "next" {
			outcome, err = w.owner(ctx, conn)
		}
		unknown = err != nil || outcome != "kept" && outcome != "next"
	}
	defer func() { _ = conn.Close() }()
	switch {
	case err != nil:
		return unknown, failed(ctx, err)
	case outcome == "kept":
		// A server whose wait for its standby is canceled reports success.
		return ctx.Err() != nil, ctx.Err()
	case outcome == "next":
		return unknown, &batch.Error{Kind: batch.ErrConflict, Op: "Journal",
			Message: fmt.Sprintf("entry %d of %q is not the next", w.seq, w.key.Reference)}
	}
	taken := &batch.ClaimedError{}
	if err := json.Unmarshal([]byte(outcome), taken); err != nil {
		return true, fmt.Errorf("the answer to an entry is %q: %w", outcome, err)
	}
	return unknown, taken
}

// call returns the answer of batchway_append, in a transaction that sees what
// others commit in the meantime.
func (w write) call(ctx context.Context, conn *sql.Conn) (outcome string, err error) {
	const statement = `SELECT batchway_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	if outcome, err = one(conn.QueryContext(ctx, statement, w.args...)); err != nil || outcome != "isolation" {
		return outcome, err
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }() // It has nothing to say after Commit.
	if outcome, err = one(tx.QueryContext(ctx, statement, w.args...)); err != nil || outcome != "kept" {
		return outcome, err
	}
	return outcome, tx.Commit()
}

// owner returns "kept" if the entry that is there is w's, else "next".
func (w write) owner(ctx context.Context, conn *sql.Conn) (outcome string, err error) {
	writer, err := one(conn.QueryContext(ctx, `
		SELECT coalesce((SELECT writer FROM batchway_entries
			WHERE provider = $1 AND account = $2 AND reference = $3 AND seq = $4), '')`, w.args[:4]...))
	if err == nil && writer == w.writer {
		return "kept", nil
	}
	return "next", err
}

// one returns the only answer to a query. The statement has succeeded only if
// reading it to its end has.
func one(rows *sql.Rows, failed error) (answer string, err error) {
	if failed != nil {
		return "", failed
	}
	for rows.Next() {
		if err := rows.Scan(&answer); err != nil {
			return "", errors.Join(err, rows.Close())
		}
	}
	return answer, errors.Join(rows.Err(), rows.Close())
}

// Open yields the histories that are not done, each as it was when its page
// was read. A Journal has one owner: asking for another is ErrInvalid.
func (j *Journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	return j.list(ctx, provider, account, `last <> 'done'`)
}

// Closed yields the histories that are done, and whose last entry was made at
// since or later. Otherwise it is as Open.
func (j *Journal) Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
	error] {
	return j.list(ctx, provider, account, `last = 'done' AND pruned IS NULL AND at >= $5`, since.UTC())
}

// list yields the histories of an account for which a condition holds.
func (j *Journal) list(ctx context.Context, provider, account, condition string, args ...any) iter.Seq2[batch.History,
	error] {
	return func(yield func(batch.History, error) bool) {
		if err := j.owner.RefuseAccount(provider, account); err != nil {
			yield(batch.History{}, err)
			return
		}
		for page, err := range j.pages(ctx, condition, args...) {
			if err != nil {
				yield(batch.History{}, err)
				return
			}
			for _, f := range page {
				if !yield(f.History, f.err) {
					return
				}
			}
		}
	}
}

// pages yields the histories for which a condition holds, a page at a time. No
// connection is in use while a page is out.
func (j *Journal) pages(ctx context.Context, condition string, args ...any) iter.Seq2[[]found, error] {
	return func(yield func([]found, error) bool) {
		page, err := j.page(ctx, condition, args...)
		condition = fmt.Sprintf("%s AND reference > $%d", condition, len(args)+5)
		for err == nil && len(page) > 0 {
			if !yield(page, nil) {
				return
			}
			page, err = j.page(ctx, condition, append(args[:len(args):len(args)], page[len(page)-1].Key.Reference)...)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Prune removes the histories that are done and whose last entry was made
// before a time. Each is first given to archive, which must have made it
// durable when it returns nil; with an error Prune ends. A crash in between
// gives a history to archive again. It returns how many it has removed.
//
// A key whose history was removed stays used: History and Append return
// ErrConflict, so that no batch is ever sent again under its reference. The
// names that it holds stay claimed. Prune needs the right to delete from
// batchway_entries and batchway_items.
func (j *Journal) Prune(ctx context.Context, before time.Time, archive func(batch.History) error) (pruned int,
	err error) {
	for page, err := range j.pages(ctx, `last = 'done' AND pruned IS NULL AND at < $5`, before.UTC()) {
		if err != nil {
			return pruned, err
		}
		type head struct {
			Reference string `json:"reference"`
			Entries   int    `json:"entries"`
		}
		archived := []head{}
		for _, f := range page {
			if err = cmp.Or(ctx.Err(), f.err); err == nil {
				err = archive(f.History)
			}
			if err != nil {
				break
			}
			archived = append(archived, head{f.Key.Reference, len(f.Entries)})
		}
		removed, failed := j.remove(ctx, archived)
		if pruned += removed; err != nil || failed != nil {
			return pruned, errors.Join(err, failed)
		}
	}
	return pruned, nil
}

// remove removes histories, but for those that went on since they were read.
func (j *Journal) remove(ctx context.Context, heads any) (removed int, err error) {
	text, err := json.Marshal(heads)
	if err != nil {
		return 0, err
	}
	_, err = transact(ctx, j.db, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			WITH gone AS (
				UPDATE batchway_histories h SET pruned = now()
				FROM json_to_recordset($3::json) AS old (reference text, entries bigint)
				WHERE h.provider = $1 AND h.account = $2 AND h.reference = old.reference
					AND h.entries = old.entries AND h.pruned IS NULL
				RETURNING h.reference
			), entries AS (
				DELETE FROM batchway_entries e USING gone
				WHERE e.provider = $1 AND e.account = $2 AND e.reference = gone.reference
			), items AS (
				DELETE FROM batchway_items i USING gone
				WHERE i.provider = $1 AND i.account = $2 AND i.reference = gone.reference
			)
			SELECT count(*) FROM gone`, j.owner.Provider, j.owner.Account, string(text)).Scan(&removed)
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// Now is the server's clock, by which Run measures how long ago a Submit began:
// the clocks of the workers' machines may differ.
func (j *Journal) Now(ctx context.Context) (now time.Time, err error) {
	conn, err := connect(ctx, j.db)
	if err != nil {
		return now, err
	}
	defer func() { _ = conn.Close() }()
	err = conn.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, failed(ctx, err)
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
