package centrapaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// The wire, written from Centrapay's documentation and not from the client.

type wireCreate struct {
	Type    string `json:"type"`
	URL     string `json:"url"`
	Account string `json:"accountId"`
	Test    bool   `json:"test"`
}

type wireBatch struct {
	ID         string      `json:"id"`
	Account    string      `json:"accountId"`
	Status     string      `json:"status"`
	Type       string      `json:"type"`
	URL        string      `json:"url"`
	Test       *bool       `json:"test,omitempty"`
	Count      *string     `json:"count,omitempty"`
	TotalCount *string     `json:"totalCount,omitempty"`
	ErrorCount string      `json:"errorCount"`
	Errors     []wireError `json:"errors"`
}

type wireError struct {
	ExternalID string `json:"externalId,omitempty"`
	Index      string `json:"index"`
	Message    string `json:"message"`
}

type wireProblem struct {
	StatusCode int    `json:"statusCode"`
	Error      string `json:"error,omitempty"`
	Message    string `json:"message"`
}

// A run is one batch at the service.
type run struct {
	id      string
	account *account
	order   wireCreate
	status  string
	asked   int // reads since the last step
	fetched bool
	broken  bool // the file could not be fetched or read
	records []record
	errors  []wireError
	loaded  int
}

var steps = []string{"created", "copied", "chunked", "complete"}

func (b *run) final() bool { return b.status == "complete" || b.status == "error" }

// advance moves b one step on.
func (s *Server) advance(b *run) {
	if b.final() {
		return
	}
	s.fetch(b)
	if b.broken {
		b.status = "error"
		return
	}
	b.status = steps[slices.Index(steps, b.status)+1]
	if b.status == "complete" {
		s.load(b)
	}
}

func (s *Server) finish(b *run) {
	for !b.final() {
		s.advance(b)
	}
}

// fetch gets the file and takes its good records on.
func (s *Server) fetch(b *run) {
	if b.fetched {
		return
	}
	b.fetched = true
	content, err := s.download(b.order.URL)
	if err == nil && s.options.FetchTwice {
		content, err = s.download(b.order.URL)
	}
	if err == nil {
		b.records, err = s.parse(b.order.Type, content)
	}
	if b.broken = err != nil; b.broken {
		return
	}
	for n, r := range b.records {
		if r.fault == "" {
			s.accepted[r.id]++
			continue
		}
		e := wireError{ExternalID: r.externalID, Index: strconv.Itoa(n), Message: r.fault}
		if e.ExternalID == "" && !s.options.NamesNoTicket {
			e.ExternalID = r.named
		}
		if s.options.NoExternalID {
			e.ExternalID = ""
		}
		if s.options.IndexFrom1 {
			e.Index = strconv.Itoa(n + 1)
		}
		b.errors = append(b.errors, e)
	}
}

// load does what a batch is for.
func (s *Server) load(b *run) {
	now := s.Clock.Now().UTC()
	for _, r := range b.records {
		if r.fault != "" {
			continue
		}
		if r.externalID != "" {
			b.account.assets[r.externalID] = asset{id: s.newID(), record: r, created: now}
		}
		s.Ledger.Move(batchsim.Effect{Payer: "account " + b.account.id, Batch: b.id, Item: r.id, Account: r.account,
			Minor: r.cents, Currency: "NZD", At: now})
	}
	b.loaded = len(b.records)
}

// download fetches a file, of bounded size, in bounded time.
func (s *Server) download(from string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.FetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := s.server.HTTPClient()
	defer client.CloseIdleConnections()
	reply, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the file is answered with %d", reply.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(reply.Body, s.options.MaxFile+1))
	if int64(len(content)) > s.options.MaxFile {
		return nil, errors.New("the file is too large")
	}
	return content, err
}

func (s *Server) operations() []batchsim.Operation {
	op := func(name, method, path string, serve func(*account, batchsim.Request) batchsim.Reply) batchsim.Operation {
		return batchsim.Operation{Name: name, Method: method, Path: path,
			Serve: func(r batchsim.Request) batchsim.Reply {
				s.mu.Lock()
				defer s.mu.Unlock()
				a, known := s.accounts[r.Header.Get("X-Api-Key")]
				if token := r.Header.Get("Authorization"); token != "" && token == s.userToken {
					// The user of the token has one org account, which it must name.
					a, known = s.accounts[s.options.APIKey], r.Header.Get("X-Centrapay-Account") == s.options.AccountID
				}
				if !known {
					return problem(http.StatusUnauthorized, "Unauthorized", "Missing authentication")
				}
				if wait := s.throttle(); wait > 0 {
					reply := problem(http.StatusTooManyRequests, "Too Many Requests", "RATE_LIMIT_EXCEEDED")
					reply.Header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
					return reply
				}
				return serve(a, r)
			}}
	}
	return []batchsim.Operation{
		op("CreateBatch", http.MethodPost, "/api/batches", s.create),
		op("GetBatch", http.MethodGet, "/api/batches/{batchId}", s.get),
		op("GetAccount", http.MethodGet, "/api/accounts/{accountId}", s.getAccount),
		op("ListAssets", http.MethodGet, "/api/accounts/{accountId}/assets", s.listAssets),
		op("UploadMedia", http.MethodPost, "/api/media-uploads", s.uploadMedia),
		op("MediaLocation", http.MethodGet, "/api/media-uploads/{mediaUploadId}/location", s.mediaLocation),
		op("OnboardBusiness", http.MethodPost, "/api/businesses/onboard", s.onboard),
		op("GetOnboarding", http.MethodGet, "/api/businesses/onboard/{id}", s.getOnboarding),
		op("GetAssetByExternalID", http.MethodGet, "/api/assets/{assetType}/external-id/{externalId}", s.getAsset),
	}
}

// throttle counts a request, or says how long to wait with it.
func (s *Server) throttle() time.Duration {
	if s.options.RequestsPerMinute == 0 {
		return 0
	}
	now := s.Clock.Now()
	s.recent = slices.DeleteFunc(s.recent, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	if len(s.recent) >= s.options.RequestsPerMinute {
		return time.Minute - now.Sub(s.recent[0])
	}
	s.recent = append(s.recent, now)
	return 0
}

func encode(status int, v any) batchsim.Reply {
	// The wire structs hold nothing that cannot be marshalled.
	text, _ := json.Marshal(v)
	return batchsim.JSON(status, string(text))
}

func problem(status int, name, message string) batchsim.Reply {
	return encode(status, wireProblem{StatusCode: status, Error: name, Message: message})
}

// decode is strict: a misspelt field would otherwise be dropped in silence.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is more after the value")
	}
	return nil
}

func (s *Server) create(a *account, r batchsim.Request) batchsim.Reply {
	invalid := func(message string) batchsim.Reply { return problem(http.StatusBadRequest, "", message) }
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return invalid("content type must be application/json")
	}
	var in wireCreate
	if err := decode(r.Body, &in); err != nil {
		return invalid("the body is malformed")
	}
	for _, field := range [][2]string{{"type", in.Type}, {"url", in.URL}, {"accountId", in.Account}} {
		if field[1] == "" {
			return invalid(field[0] + " is required")
		}
	}
	if _, known := parsers[in.Type]; !known {
		return invalid("type is invalid")
	}
	if u, err := url.Parse(in.URL); err != nil || u.Host == "" {
		return invalid("url is invalid")
	}
	if in.Account != a.id {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	if in.Test == s.options.Live {
		return problem(http.StatusForbidden, "Forbidden", "LIVENESS_MISMATCH")
	}
	b := &run{id: s.newID(), account: a, order: in, status: "created"}
	s.batches[b.id] = b
	if !s.options.FetchLate {
		s.fetch(b)
	}
	return encode(http.StatusOK, s.view(b))
}

func (s *Server) get(a *account, r batchsim.Request) batchsim.Reply {
	b, ok := s.batches[r.PathValue("batchId")]
	if !ok || b.account != a {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	reply := encode(http.StatusOK, s.view(b))
	if b.asked++; s.options.Autoplay > 0 && b.asked >= s.options.Autoplay {
		b.asked = 0
		s.advance(b)
	}
	return reply
}

// view is the batch as replies show it.
func (s *Server) view(b *run) wireBatch {
	count, failed, list := b.loaded, 0, []wireError{}
	if b.status == "complete" {
		failed, list = len(b.errors), append(list, b.errors...)
	}
	if s.options.CountExcludesErrors {
		count -= failed
	}
	if limit := s.options.MaxErrors; limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	v := wireBatch{ID: b.id, Account: b.order.Account, Status: b.status, Type: b.order.Type, URL: b.order.URL,
		ErrorCount: strconv.Itoa(failed), Errors: list}
	if b.order.Test || !s.options.OmitFalseTest {
		v.Test = &b.order.Test
	}
	n := strconv.Itoa(count)
	if s.options.CountName != CountIsTotalCount {
		v.Count = &n
	}
	if s.options.CountName != CountIsCount {
		v.TotalCount = &n
	}
	if s.options.OtherAccount {
		v.Account = "1mdj7bj95gjo92r0ux6wfy69gj3h77"
	}
	if s.word != "" {
		v.Status = s.word
	}
	return v
}

func (s *Server) getAccount(a *account, r batchsim.Request) batchsim.Reply {
	if r.PathValue("accountId") != a.id || s.options.AccountUnreadable {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	reply := map[string]any{"id": a.id, "name": "Centrapay Cafe", "type": "org", "region": "NZ"}
	if !s.options.Live {
		reply["test"] = true
	}
	return encode(http.StatusOK, reply)
}

// An asset is what a farmlands record has become.
type asset struct {
	id      string
	record  record
	created time.Time
}

func (s *Server) getAsset(a *account, r batchsim.Request) batchsim.Reply {
	asset, ok := a.assets[r.PathValue("externalId")]
	if !ok {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	return encode(http.StatusOK, asset.wire(a, r.PathValue("assetType")))
}

func (x asset) wire(a *account, kind string) map[string]any {
	cents := strconv.FormatInt(x.record.cents, 10)
	return map[string]any{"id": x.id, "accountId": a.id, "type": kind, "category": "money", "description": "Farmlands",
		"status": "active", "currency": "NZD", "availableBalance": cents, "balance": cents,
		"createdAt": x.created.Format("2006-01-02T15:04:05.000Z")}
}
