package snapbill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

const maxReply = 32 << 20

const notAnAddress = `must be a number, or an xid such as "Clw:Xc"`

// fault is a fault that belongs to no item.
func fault(field, format string, args ...any) batch.FieldError {
	return batch.FieldError{Item: -1, Field: field, Message: fmt.Sprintf(format, args...)}
}

// invalid refuses the arguments of an operation.
func invalid(op batchhttp.Op, field, format string, args ...any) error {
	return batch.Invalid(name, op.Name, []batch.FieldError{fault(field, format, args...)})
}

// post makes a call with a form.
func (c *Client) post(ctx context.Context, op batchhttp.Op, params []string, form url.Values,
	decode func(io.Reader) error) error {
	return c.send(ctx, batchhttp.Call{Op: op, Params: params, Decode: decode}, form)
}

// send fills in what all calls have in common.
func (c *Client) send(ctx context.Context, call batchhttp.Call, form url.Values) error {
	if strings.Contains(call.Op.Path, "/{id}") && !strings.HasPrefix(call.Op.Path, "/{class}") &&
		!address.MatchString(call.Params[0]) {
		return invalid(call.Op, "id", "%s", notAnAddress)
	}
	if err := batch.Invalid(name, call.Op.Name, notUTF8(form)); err != nil {
		return err
	}
	call.ContentType, call.Body, call.MaxReply = "application/x-www-form-urlencoded", []byte(form.Encode()), maxReply
	return c.http.Do(ctx, call)
}

// notUTF8 lists the fields that SnapBill would read as another text. The values
// are not quoted: they may be secrets.
func notUTF8(form url.Values) (faults []batch.FieldError) {
	for _, field := range slices.Sorted(maps.Keys(form)) {
		if slices.ContainsFunc(append([]string{field}, form[field]...),
			func(text string) bool { return !utf8.ValidString(text) }) {
			faults = append(faults, fault(strings.ToValidUTF8(field, "?"), "must be UTF-8"))
		}
	}
	return faults
}

// conflict and nonsense are errors of what the service says, in words that are
// fit for an error.
func (c *Client) conflict(op, message string, fields []batch.FieldError) error {
	return &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Message: c.http.Clean(message),
		Fields: c.clean(fields)}
}

func (c *Client) nonsense(op, message string, fields []batch.FieldError) error {
	return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op, Message: c.http.Clean(message),
		Fields: c.clean(fields)}
}

func (c *Client) clean(fields []batch.FieldError) []batch.FieldError {
	cleaned := slices.Clone(batchhttp.Faults(fields))
	for n := range cleaned {
		cleaned[n].Message = c.http.Clean(cleaned[n].Message)
	}
	return cleaned
}

// An object is what a reply can hold.
type object[T any] interface {
	*T
	identify() error // has it a name, and only one?
	check() error    // is everything there that decides?
	verify() error   // does it contradict itself?
	names() names
}

// names are what an object can be addressed by.
type names struct {
	number string // in the account; or its code
	xid    XID
}

// has reports whether id addresses the object. Where the object has no xid, the
// number in id decides.
func (n names) has(id string) bool {
	if id == n.number || id == string(n.xid) {
		return true
	}
	_, number, err := XID(id).Decode()
	_, _, none := n.xid.Decode()
	return err == nil && none != nil && ID(number).String() == n.number
}

func numbered(id ID, xid XID) names { return names{id.String(), xid} }

// call makes a call that may answer with an object. Where it must, a success
// without one leaves open what there is now. An object that the reply names is
// returned beside any error, because the service has it.
func call[T any, P object[T]](ctx context.Context, c *Client, op batchhttp.Op, class string, params []string,
	form url.Values,
	must bool) (*T, error) {
	return callWith[T, P](ctx, c, batchhttp.Call{Op: op, Params: params}, class, form, must)
}

func callWith[T any, P object[T]](ctx context.Context, c *Client, send batchhttp.Call, class string, form url.Values,
	must bool) (*T, error) {
	var out *T
	send.Decode = opened(func(e *envelope) error {
		found, err := item[T, P](e, class)
		out = found
		if verdict := e.verdict(); verdict != nil {
			return verdict
		}
		if err == nil && found == nil && must {
			err = fmt.Errorf("the reply holds no %s", class)
		}
		return err
	})
	err := c.send(ctx, send, form)
	return out, err
}

// get reads one object, and refuses any other.
func get[T any, P object[T]](ctx context.Context, c *Client, op batchhttp.Op, class, id string) (*T, error) {
	var out *T
	err := c.post(ctx, op, []string{id}, url.Values{}, successful(func(e *envelope) error {
		found, err := item[T, P](e, class)
		if err == nil && (found == nil || !P(found).names().has(id)) {
			err = fmt.Errorf("the reply is about another %s", class)
		}
		if err == nil {
			out, err = found, P(found).check()
		}
		return err
	}))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// verified adds to an object what in it contradicts itself.
func verified[T any, P object[T]](c *Client, op batchhttp.Op, v *T, err error) (*T, error) {
	if err == nil {
		if fault := P(v).verify(); fault != nil {
			err = c.nonsense(op.Name, fault.Error(), nil)
		}
	}
	return v, err
}

const (
	perPage  = 100 // the most that is documented
	maxPages = 10_000
	maxRows  = 1_000_000 // of all pages of a list
)

// rowError marks the error of one row. The list goes on after it.
type rowError struct{ error }

func (e rowError) Unwrap() error { return e.error }

func ofOneRow(err error) bool {
	var row rowError
	return errors.As(err, &row)
}

func (c *Client) rowFailed(op batchhttp.Op, place string, err error) error {
	return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name, Message: place,
		Err: rowError{errors.New(c.http.Clean(err.Error()))}}
}

// verifiedRows adds to a row what in it contradicts itself.
func verifiedRows[T any, P object[T]](c *Client, op batchhttp.Op, rows iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if err == nil {
				if fault := P(&row).verify(); fault != nil {
					err = c.rowFailed(op, "the object "+P(&row).names().number, fault)
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// list reads page after page, and yields each object once. A row that makes no
// sense, or that the filter excludes, is yielded beside its error, and the list
// goes on; any other error ends it.
func list[T any, P object[T]](ctx context.Context, c *Client, op batchhttp.Op, class string, form url.Values,
	filter func(*T) error) iter.Seq2[T, error] {
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
			rows, pages, err := c.page(ctx, op, class, form, page)
			if err != nil {
				fail(err)
				return
			}
			fresh := false
			for n, text := range rows {
				var row T
				err := batchhttp.Parse(text, &row)
				for _, check := range []func() error{P(&row).identify, P(&row).check, func() error {
					return filter(&row)
				}} {
					if err == nil {
						err = check()
					}
				}
				if err == nil {
					// A list that changes meanwhile may show a row again.
					called := P(&row).names()
					if seen[called] {
						continue
					}
					seen[called], fresh = true, true
					if len(seen) > maxRows {
						fail(c.nonsense(op.Name, fmt.Sprintf("the list is longer than %d rows", maxRows), nil))
						return
					}
				} else {
					err = c.rowFailed(op, fmt.Sprintf("row %d of page %d", n+1, page), err)
				}
				if !yield(row, err) {
					return
				}
			}
			if Int(page) >= pages {
				return
			}
			if !fresh {
				fail(c.nonsense(op.Name, fmt.Sprintf("page %d of %d holds nothing new: the list may be cut short", page,
					int64(pages)), nil))
				return
			}
		}
		fail(c.nonsense(op.Name, fmt.Sprintf("the list has no end after %d pages", maxPages), nil))
	}
}

// page reads one page of a list: its rows as they came, and how many pages
// there are.
func (c *Client) page(ctx context.Context, op batchhttp.Op, class string, form url.Values,
	page int) (rows []jsontext.Value, pages Int, err error) {
	err = c.post(ctx, op, nil, form, func(body io.Reader) error {
		var e struct {
			envelope
			List Maybe[[]jsontext.Value] `json:"list"`
		}
		if err := batchhttp.JSON(&e)(body); err != nil {
			return err
		}
		if err := e.verdict(); err != nil {
			return err
		}
		if e.Type != "list" || e.Class != "" && string(e.Class) != class {
			return fmt.Errorf("a %.40q of %.40q came back instead of a list of %s", string(e.Type),
				string(e.Class), class)
		}
		if !e.Page.OK || !e.NumPages.OK || e.Page.Value != Int(page) {
			return fmt.Errorf("the list does not say that it is page %d", page)
		}
		if !e.List.OK {
			return errors.New("the reply holds no list")
		}
		rows, pages = e.List.Value, e.NumPages.Value
		return nil
	})
	return rows, pages, err
}

// item reads the object of a reply; nil if it holds none that has a name.
func item[T any, P object[T]](e *envelope, class string) (*T, error) {
	var found *T
	if text, sent := e.Content[class]; sent {
		if err := batchhttp.Parse(text, &found); err != nil {
			return nil, err
		}
	}
	if found != nil {
		if err := P(found).identify(); err != nil {
			return nil, err
		}
	}
	if e.Type != "item" && e.Type != "result" {
		return found, fmt.Errorf("a %.40q came back instead of a %s", string(e.Type), class)
	}
	if e.Class != "" && string(e.Class) != class {
		return found, fmt.Errorf("a %.40q came back instead of a %s", string(e.Class), class)
	}
	return found, nil
}

// An envelope is what is around every reply.
type envelope struct {
	Code     Maybe[Int]                `json:"code"`
	Type     Text                      `json:"type"`
	Status   Text                      `json:"status"`
	Class    Text                      `json:"class"`
	Message  Maybe[string]             `json:"message"`
	Errors   faults                    `json:"errors"`
	Page     Maybe[Int]                `json:"page"`
	NumPages Maybe[Int]                `json:"numpages"`
	Content  map[string]jsontext.Value `json:",embed"`
}

// messages are what is wrong with one field: a text, or several.
type messages []Text

// faults are what is wrong, by field; a plain list belongs to no field.
type faults map[string]messages

func (f *faults) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		var all messages
		if err := all.UnmarshalJSON(text); err != nil || len(all) == 0 {
			return err
		}
		*f = faults{"": all}
		return nil
	}
	return (*Map[messages])(f).UnmarshalJSON(text)
}

func (m *messages) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return batchhttp.Parse(text, (*[]Text)(m))
	}
	var one Text
	err := one.UnmarshalJSON(text)
	*m = messages{one}
	return err
}

// opened opens the envelope of a reply.
func opened(decode func(*envelope) error) func(io.Reader) error {
	return func(body io.Reader) error {
		var e *envelope
		if err := batchhttp.JSON(&e)(body); err != nil {
			return err
		}
		if e == nil {
			return errors.New("the reply is not an object")
		}
		return decode(e)
	}
}

// successful opens the envelope of a reply, and refuses one that says that the
// call has failed.
func successful(decode func(*envelope) error) func(io.Reader) error {
	return opened(func(e *envelope) error {
		if err := e.verdict(); err != nil {
			return err
		}
		return decode(e)
	})
}

// verdict is what the body of a 2xx reply says of the call. Both the HTTP status
// and the body must be good: SnapBill's own clients look at one of them each.
func (e *envelope) verdict() error {
	code := e.Code.Value
	switch {
	case !e.Code.OK && e.Code.Text != "":
		return fmt.Errorf("the code in the body is not a number: %.40q", string(e.Code.Text))
	case e.Code.OK && refuses(int(code)) && e.wordsOfSnapBill():
		return e.refusal(int(code))
	case e.Code.OK && (code < 200 || code > 299):
		return fmt.Errorf("the HTTP status is good, and the body says %d", int64(code))
	case e.Status == "error" && !e.Code.OK && e.wordsOfSnapBill():
		return e.refusal(http.StatusBadRequest) // How failures looked until 2013.
	case e.Status != "" && e.Status != "ok":
		return fmt.Errorf("the HTTP status is good, and the body says %.40q", string(e.Status))
	}
	return nil
}

// refuses lists the codes that say that a call was not carried out. 408, 409,
// 423, 425 and 429 can be about another call, or a gateway's.
func refuses(code int) bool {
	switch code {
	case 408, 409, 423, 425, 429:
		return false
	}
	return code >= 400 && code <= 499
}

// wordsOfSnapBill reports whether a failure has the envelope of SnapBill: the
// message that all its clients show, and at least two of the code, the type and
// the status "error". A message beside one of them could be any proxy's.
func (e *envelope) wordsOfSnapBill() bool {
	marks := 0
	for _, mark := range []struct{ sent, ours bool }{
		{e.Code.OK || e.Code.Text != "", e.Code.OK}, // Its value is compared with the HTTP status.
		{e.Type != "", e.Type == "result" || e.Type == "error"},
		{e.Status != "", e.Status == "error"},
	} {
		if mark.sent && !mark.ours {
			return false
		}
		if mark.sent {
			marks++
		}
	}
	return marks >= 2 && e.Message.OK && e.Message.Value != ""
}

// refusal is what the service's own words mean.
func (e *envelope) refusal(code int) *batch.Error {
	kind := batch.ErrInvalid
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		kind = batch.ErrAuth
	case code == http.StatusNotFound:
		kind = batch.ErrNotFound
	case !refuses(code):
		kind = batch.ErrAmbiguous
	}
	refused := &batch.Error{Kind: kind, Code: strconv.Itoa(code), Message: e.Message.Value}
	for _, field := range slices.Sorted(maps.Keys(e.Errors)) {
		for _, message := range e.Errors[field] {
			refused.Fields = append(refused.Fields, batch.FieldError{Item: -1, Field: field, Message: string(message)})
		}
	}
	return refused
}

// refusal reads an error reply: nil if it is not in SnapBill's own words.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind == "text/html" || strings.HasSuffix(kind, "xml") {
		return nil
	}
	var e *envelope
	if batchhttp.JSON(&e)(bytes.NewReader(body)) != nil || e == nil || !e.wordsOfSnapBill() {
		return nil
	}
	if e.Code.OK && int(e.Code.Value) != status {
		return &batch.Error{Kind: batch.ErrAmbiguous,
			Message: fmt.Sprintf("the HTTP status is %d, and the body says %d", status, int64(e.Code.Value))}
	}
	return e.refusal(status)
}
