package sqljournal

import (
	"context"
	"database/sql"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// Erase removes what identifies the people of the items that match from every
// history of the account that is done: Item.Account becomes batch.Erased,
// Item.Extra is removed, and so are both from the words of services and of
// people that repeat them (if they have three bytes or more). What the journal
// needs so that no money moves twice stays, and with it the outcomes:
// references, amounts, labels, purposes and the service's own IDs. Do not put
// names into them. It returns the keys of the histories that it has changed.
//
// A history that is not done needs its accounts. ErrConflict names those with an
// item that matches: nothing was erased in them, and everything in the others.
//
// After an error, call it again. The server keeps the earlier rows on its disk
// until VACUUM has removed them and their space is used again (VACUUM FULL writes
// the tables anew), and longer in its log, its standbys and its backups. Erase
// needs the right to delete from batchway_items.
func (j *Journal) Erase(ctx context.Context, match func(batch.Item) bool) (erased []batch.Key, err error) {
	return record.EraseEach(j.list(ctx, j.owner.Provider, j.owner.Account, `pruned IS NULL`), match,
		func(key batch.Key) (bool, error) { return j.eraseOne(ctx, key, match) })
}

// eraseOne erases from one history, unless it is not done. It holds the lock:
// another call would append accounts that it has read before.
func (j *Journal) eraseOne(ctx context.Context, key batch.Key, match func(batch.Item) bool) (erased bool, err error) {
	unlock, err := j.Lock(ctx, key)
	if err != nil {
		return false, err
	}
	defer unlock()
	history, err := j.History(ctx, key)
	if err != nil || history[len(history)-1].Kind != batch.EntryDone {
		return false, err
	}
	after, _ := record.Erase(history, match)
	_, err = transact(ctx, j.db, func(tx *sql.Tx) error { return rewrite(ctx, tx, key, after) })
	return err == nil, err
}

// rewrite writes a history anew, with as many entries.
func rewrite(ctx context.Context, tx *sql.Tx, key batch.Key, history []batch.Entry) error {
	size := 0
	args := func(more ...any) []any { return append([]any{key.Provider, key.Account, key.Reference}, more...) }
	if _, err := tx.ExecContext(ctx,
		`DELETE FROM batchway_items WHERE provider = $1 AND account = $2 AND reference = $3`, args()...); err != nil {
		return err
	}
	for _, e := range history {
		text, lists, err := record.Encode(key, e)
		if err != nil {
			return err
		}
		for _, list := range lists {
			size += len(list.Text)
			if _, err := tx.ExecContext(ctx, `INSERT INTO batchway_items (provider, account, reference, digest, items)
				VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, args(list.Digest, string(list.Text))...); err != nil {
				return err
			}
		}
		size += len(text)
		if _, err := tx.ExecContext(ctx, `UPDATE batchway_entries SET entry = $5
			WHERE provider = $1 AND account = $2 AND reference = $3 AND seq = $4`, args(e.Seq, string(text))...); err != nil {
			return err
		}
	}
	// The last, so that a history that went on since it was read is a conflict.
	changed, err := tx.ExecContext(ctx, `UPDATE batchway_histories SET bytes = $5
		WHERE provider = $1 AND account = $2 AND reference = $3 AND entries = $4 AND pruned IS NULL`, args(len(history), size)...)
	if err != nil {
		return err
	}
	if n, err := changed.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return &batch.Error{Kind: batch.ErrConflict, Op: "Journal", Message: "the history of " + key.Reference +
		" went on while it was erased: erase again"}
}
