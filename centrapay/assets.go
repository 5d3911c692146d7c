package centrapay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The limits of a list that has no end.
const (
	maxPages  = 100_000
	maxAssets = 1_000_000
	maxKey    = 2048 // bytes of the key of a page, which goes into a URL
)

// ListAssets reads the assets of an account, page by page. With an external id
// it reads the one that has it: more than one is ErrProtocol, because the service
// may have ignored the filter. Archived assets are left out (documented).
//
// An asset proves that a record was loaded only if it was not there, or was
// another, before the batch. None proves nothing: whether a farmlands asset
// belongs to the account of its batch is not documented.
//
//	GET /api/accounts/{accountId}/assets
func (c *Client) ListAssets(ctx context.Context, accountID, externalID string) iter.Seq2[Asset, error] {
	return func(yield func(Asset, error) bool) {
		query, seen, n := url.Values{}, make(map[string]bool), 0
		if externalID != "" {
			query.Set("externalId", externalID)
		}
		fail := func(message string) {
			yield(Asset{}, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opListAssets.Name,
				Message: message})
		}
		for range maxPages {
			var page struct {
				Items   batchhttp.Maybe[[]Asset] `json:"items"`
				NextKey batchhttp.Maybe[string]  `json:"nextPageKey"`
			}
			err := c.read(ctx, batchhttp.Call{Op: opListAssets, Params: []string{accountID}, Query: query,
				Decode: func(body io.Reader) error {
					err := batchhttp.JSON(&page)(body)
					switch {
					case err == nil && !page.Items.OK:
						err = errors.New("the reply has no list of assets")
					case err == nil && len(page.NextKey.Value) > maxKey:
						err = fmt.Errorf("the key of the next page is longer than %d bytes", maxKey)
					case err == nil && page.NextKey.Text != "":
						err = errors.New("the key of the next page is not a string")
					}
					return err
				}})
			if err != nil {
				yield(Asset{}, err)
				return
			}
			for _, asset := range page.Items.Value {
				n++
				switch {
				case n > maxAssets:
					fail(fmt.Sprintf("the list is longer than %d assets", maxAssets))
					return
				case externalID != "" && n > 1, externalID != "" && asset.ExternalID != "" &&
					string(asset.ExternalID) != externalID:
					fail("an asset came back that the filter externalId excludes: the service may have ignored it")
					return
				case asset.ID == "":
					fail("an asset has no id")
					return
				case !yield(asset, nil):
					return
				}
			}
			key := page.NextKey.Value
			if key == "" {
				return
			}
			if seen[key] {
				break
			}
			seen[key] = true
			query.Set("pageKey", key)
		}
		fail("the list of assets has no end")
	}
}
