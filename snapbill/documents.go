package snapbill

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/url"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// InvoicePDF reads an invoice as a PDF file. It is personal data. The content
// type of the reply is not documented; the file must begin with "%PDF".
//
//	POST /invoice/{id}/pdf
func (c *Client) InvoicePDF(ctx context.Context, id string) ([]byte, error) {
	var file []byte
	err := c.send(ctx, batchhttp.Call{Op: opInvoicePDF, Accept: "application/pdf", Params: []string{id},
		Decode: func(body io.Reader) error {
			text, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			if bytes.HasPrefix(text, []byte("%PDF")) {
				file = text
				return nil
			}
			var e *envelope
			if batchhttp.JSON(&e)(bytes.NewReader(text)) == nil && e != nil {
				if err := e.verdict(); err != nil {
					return err
				}
			}
			return errors.New("the reply is not a PDF file")
		}}, url.Values{})
	return file, err
}

// GetCountry reads a country, by its code: "ZA".
//
//	POST /country/{code}/get
func (c *Client) GetCountry(ctx context.Context, code string) (*Country, error) {
	return get[Country](ctx, c, opGetCountry, "country", code)
}

// ListCountries reads the country with a code such as "ZA", or all of them for "".
//
//	POST /country/list
func (c *Client) ListCountries(ctx context.Context, iso2 string) iter.Seq2[Country, error] {
	form := url.Values{}
	set(form, "iso2", iso2)
	return list(ctx, c, opListCountries, "country", form, func(found *Country) error {
		if iso2 != "" && string(found.ISO2) != iso2 {
			return ignored("iso2", "another")
		}
		return nil
	})
}

// ListAccounts reads the accounts that the login sees. SnapBill's own client
// has the call, and no documentation.
//
//	POST /account/list
func (c *Client) ListAccounts(ctx context.Context) iter.Seq2[Account, error] {
	return list(ctx, c, opListAccounts, "account", url.Values{}, anything[Account])
}
