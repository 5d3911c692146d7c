package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/examples/temporal/fleet"
)

// orders is where drafts are kept until a worker starts them: a table beside
// the journal. The engine is given no items.
type orders struct{ db *sql.DB }

func (o orders) prepare(ctx context.Context) error {
	_, err := o.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS orders (
		provider  text NOT NULL,
		reference text NOT NULL,
		draft     json NOT NULL,
		PRIMARY KEY (provider, reference)
	)`)
	return err
}

// put keeps a draft. Another draft under the same order is refused.
func (o orders) put(ctx context.Context, provider string, d batch.Draft) (fleet.Order, error) {
	order := fleet.Order{Provider: provider, Reference: d.Reference}
	text, err := json.Marshal(d)
	if err != nil {
		return order, err
	}
	var kept string
	if err := o.db.QueryRowContext(ctx, `INSERT INTO orders AS o (provider, reference, draft) VALUES ($1, $2, $3)
		ON CONFLICT (provider, reference) DO UPDATE SET draft = o.draft RETURNING draft`,
		order.Provider, order.Reference, string(text)).Scan(&kept); err != nil {
		return order, err
	}
	if kept != string(text) {
		return order, fmt.Errorf("the order %q of %s has another draft", order.Reference, order.Provider)
	}
	return order, nil
}

// draft loads the draft of an order.
func (o orders) draft(ctx context.Context, order fleet.Order) (d batch.Draft, err error) {
	var text string
	if err := o.db.QueryRowContext(ctx, `SELECT draft FROM orders WHERE provider = $1 AND reference = $2`,
		order.Provider, order.Reference).Scan(&text); err != nil {
		return d, fmt.Errorf("the draft of %q: %w", order.Reference, err)
	}
	return d, json.Unmarshal([]byte(text), &d)
}
