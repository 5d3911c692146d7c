package snapbill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

const maxReply = 32 << 20

// post makes a call with a form.
func (c *Client) post(ctx context.Context, op rest.Op, params []string, form url.Values, decode func(*envelope) error) error {
	return c.postRaw(ctx, op, params, form, envelopes(decode))
}

func (c *Client) postRaw(ctx context.Context, op rest.Op, params []string, form url.Values, decode func(io.Reader) error) error {
	if strings.Contains(op.Path, "{id}") && !address.MatchString(params[0]) {
		return batch.Invalid(name, op.Name, []batch.FieldError{{Item: -1, Field: "id", Message: `must be a number, or an xid such as "Clw:Xc"`}})
	}
	return c.rest.Do(ctx, rest.Call{Op: op, Params: params, ContentType: "application/x-www-form-urlencoded", Body: []byte(form.Encode()),
		MaxReply: maxReply, Decode: decode})
}

// An object is what a reply can hold: it checks itself, and can be addressed.
type object[T any] interface {
	*T
	check() error
	names() names
}

// names are what an object can be addressed by.
type names struct {
	number string // in the account; or its code
	xid    XID
}

func (n names) has(id string) bool { return id == n.number || id == string(n.xid) }

func numbered(id Int, xid XID) names { return names{strconv.FormatInt(int64(id), 10), xid} }

// call makes a call that may answer with an object. Where it must, a success
// without one leaves open what there is now.
func call[T any, P object[T]](ctx context.Context, c *Client, op rest.Op, class string, params []string, form url.Values, must bool) (*T, error) {
	var out *T
	err := c.post(ctx, op, params, form, func(e *envelope) error {
		found, err := item[T, P](e, class)
		if err == nil && found == nil && must {
			err = fmt.Errorf("the reply holds no %s", class)
		}
		out = found
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// get reads one object, and refuses another's.
func get[T any, P object[T]](ctx context.Context, c *Client, op rest.Op, class, id string) (*T, error) {
	var out *T
	err := c.post(ctx, op, []string{id}, url.Values{}, func(e *envelope) error {
		found, err := item[T, P](e, class)
		if err == nil && (found == nil || !P(found).names().has(id)) {
			err = fmt.Errorf("the reply is about another %s", class)
		}
		out = found
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

const (
	perPage  = 100 // the most that is documented
	maxPages = 10_000
)

// list reads page after page, and yields each object once.
func list[T any, P object[T]](ctx context.Context, c *Client, op rest.Op, class string, form url.Values, check func(*T) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		form := maps.Clone(form) // Of this iteration alone.
		seen := make(map[names]bool)
		fail := func(err error) {
			var none T
			yield(none, err)
		}
		for page := 1; page <= maxPages; page++ {
			form.Set("page", strconv.Itoa(page))
			form.Set("perpage", strconv.Itoa(perPage))
			var rows *[]T
			var pages Int
			err := c.postRaw(ctx, op, nil, form, func(body io.Reader) error {
				var e struct {
					envelope
					List *[]T `json:"list"`
				}
				if err := rest.JSON(&e)(body); err != nil {
					return err
				}
				if err := e.verdict(); err != nil {
					return err
				}
				if e.Type != "list" || e.Class != "" && e.Class != class {
					return fmt.Errorf("a %.40q of %.40q came back instead of a list of %s", e.Type, e.Class, class)
				}
				if e.Page == nil || e.NumPages == nil || *e.Page != Int(page) {
					return fmt.Errorf("the list does not say that it is page %d", page)
				}
				rows, pages = e.List, *e.NumPages
				if rows == nil {
					return errors.New("the reply holds no list")
				}
				for n := range *rows {
					row := &(*rows)[n]
					if err := P(row).check(); err != nil {
						return err
					}
					if err := check(row); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				fail(err)
				return
			}
			fresh := false
			for _, row := range *rows {
				// A list that changes meanwhile may show a row again.
				called := P(&row).names()
				if seen[called] {
					continue
				}
				seen[called], fresh = true, true
				if !yield(row, nil) {
					return
				}
			}
			if Int(page) >= pages {
				return
			}
			if !fresh {
				fail(&batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name,
					Message: fmt.Sprintf("page %d of %d holds nothing new: the list may be cut short", page, int64(pages))})
				return
			}
		}
		fail(&batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name, Message: fmt.Sprintf("the list has no end after %d pages", maxPages)})
	}
}

// item reads the object of a reply; nil where it holds none.
func item[T any, P object[T]](e *envelope, class string) (*T, error) {
	if e.Type != "item" && e.Type != "result" {
		return nil, fmt.Errorf("a %.40q came back instead of a %s", e.Type, class)
	}
	if e.Class != "" && e.Class != class {
		return nil, fmt.Errorf("a %.40q came back instead of a %s", e.Class, class)
	}
	var found *T
	if err := e.read(class, &found); err != nil || found == nil {
		return nil, err
	}
	return found, P(found).check()
}

// An envelope is what is around every reply.
type envelope struct {
	Code     *Int                      `json:"code"`
	Type     string                    `json:"type"`
	Status   string                    `json:"status"`
	Class    string                    `json:"class"`
	Message  Text                      `json:"message"`
	Errors   faults                    `json:"errors"`
	Page     *Int                      `json:"page"`
	NumPages *Int                      `json:"numpages"`
	Content  map[string]jsontext.Value `json:",embed"`
}

// open reads all but what is in the envelope.
func open(body io.Reader) (*envelope, error) {
	var e *envelope
	if err := rest.JSON(&e)(body); err != nil {
		return nil, err
	}
	if e == nil || e.Code == nil && e.Type == "" && e.Status == "" && e.Class == "" && e.Message == "" && len(e.Content) == 0 {
		return nil, errors.New("the reply is no object")
	}
	return e, nil
}

// read decodes one field, if it is there.
func (e *envelope) read(field string, v any) error {
	if text, there := e.Content[field]; there {
		return rest.Parse(text, v)
	}
	return nil
}

// messages are what is wrong with one field: a text, or several.
type messages []Text

// faults are what is wrong, by field; in a list they are nobody's.
type faults map[string]messages

func (f *faults) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		var all messages
		if err := rest.Parse(text, &all); err != nil || len(all) == 0 {
			return err
		}
		*f = faults{"": all}
		return nil
	}
	return rest.Parse(text, (*map[string]messages)(f))
}

func (m *messages) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return rest.Parse(text, (*[]Text)(m))
	}
	var one Text
	err := rest.Parse(text, &one)
	*m = messages{one}
	return err
}

// envelopes opens a 2xx reply. Both the HTTP status and the body must be good:
// SnapBill's own clients look at one of them each.
func envelopes(decode func(*envelope) error) func(io.Reader) error {
	return func(body io.Reader) error {
		e, err := open(body)
		if err == nil {
			err = e.verdict()
		}
		if err != nil {
			return err
		}
		return decode(e)
	}
}

func (e *envelope) verdict() error {
	switch code := e.Code; {
	case code != nil && *code >= 400 && *code <= 499 && *code != 408 && *code != 409 && *code != 423 && *code != 429:
		return e.refusal(int(*code))
	case code != nil && (*code < 200 || *code > 299):
		return fmt.Errorf("the HTTP status is good, and the body says %d", int64(*code))
	case e.Status == "error" && code == nil:
		return e.refusal(http.StatusBadRequest) // How failures looked until 2013.
	case e.Status != "" && e.Status != "ok":
		return fmt.Errorf("the HTTP status is good, and the body says %.40q", e.Status)
	}
	return nil
}

// refusal is what the service's own words mean.
func (e *envelope) refusal(code int) *batch.Error {
	kind := batch.ErrInvalid
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = batch.ErrAuth
	case http.StatusNotFound:
		kind = batch.ErrNotFound
	}
	refused := &batch.Error{Kind: kind, Code: strconv.Itoa(code), Message: string(e.Message)}
	for _, field := range slices.Sorted(maps.Keys(e.Errors)) {
		for _, message := range e.Errors[field] {
			refused.Fields = append(refused.Fields, batch.FieldError{Item: -1, Field: field, Message: string(message)})
		}
	}
	return refused
}

// refusal reads an error reply. One that is no object of SnapBill's was
// written by somebody else.
func refusal(status int, _ http.Header, body []byte) *batch.Error {
	e, err := open(bytes.NewReader(body))
	if err != nil || e.Code == nil && e.Message == "" && e.Status == "" {
		return nil
	}
	if e.Code != nil && int(*e.Code) != status {
		return &batch.Error{Kind: batch.ErrAmbiguous, Message: fmt.Sprintf("the HTTP status is %d, and the body says %d", status, int64(*e.Code))}
	}
	refused := e.refusal(status)
	if status >= 500 {
		refused.Kind = ""
	}
	return refused
}
