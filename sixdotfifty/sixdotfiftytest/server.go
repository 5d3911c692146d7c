// Package sixdotfiftytest is an in-process 6DOT50, PAY and Redemptions: for
// tests, for examples, and for trying things out without an account. It checks
// what 6DOT50 checks, refuses what it refuses, and keeps a ledger of what money
// really moved.
//
// What is assumed rather than documented, each with an option that plays the
// other answer:
//
//   - A failed getToken is 200 with success:false (Options.TokenRefusal).
//   - A new token leaves the older ones valid (Options.OneToken).
//   - PAY's errors have the model that Redemptions documents (Options.Errors).
//   - The payments of a batch come whole, whatever paging is asked for
//     (Options.Payments).
//   - A filter by external id matches exactly (Options.FilterPrefix).
//   - A cancelled batch keeps its external id (Options.CancelFreesID).
//   - The external id of a payment is unique in its batch
//     (Options.PaymentIDsStay).
//   - Adding payments answers a summary (Options.Added).
//   - A submit answers with the payments (Options.SubmitWithoutPayments).
//   - Balances are numbers (Options.StringBalances), and times read back have
//     no zone (Options.ZonedTimes).
//   - Whether a number is a member's is answered by true or false
//     (Options.MissingMembers).
//   - A page is as large as take asks for (Options.MaxTake).
//   - What PAY refuses is 400 (Options.RefusalStatus).
//   - Whichever of two submits of a draft arrives second is refused
//     (Options.NoLock).
//   - Referrals are not enabled, and ignored (Options.Referrals). If they are, the
//     total of a batch does not count them (Options.ReferralsInTotal), and the
//     float must cover them.
//   - The reference of a redemption may be used again
//     (Options.UniqueReferences).
package sixdotfiftytest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/sixdotfifty"
)

// Options is how the simulated 6DOT50 behaves. The zero value is the likely
// one.
type Options struct {
	Key, Secret   string        // of both APIs; empty means some of its own
	NonMembers    []string      // mobile numbers that have not joined; all others have
	Float         int64         // hundredths that can be paid out; 0 means 1,000,000.00
	ClaimWindow   time.Duration // how long a non-member may take; 0 means 60 days
	TokenLifetime time.Duration // 0 means 15 minutes
	// one who is waited for joins with every so many reads of a batch; 0 means only by Join and FinishAll
	Autoplay int
	InMemory bool // no socket: for a testing/synctest bubble, reached by Config().HTTPClient

	TokenRefusal          int // status of a failed getToken; 0 means 200
	OneToken              bool
	Errors                Errors
	Payments              Payments
	FilterPrefix          bool
	CancelFreesID         bool
	PaymentIDsStay        bool // external ids of payments are unique for ever, also after they were removed
	Added                 Added
	SubmitWithoutPayments bool
	StringBalances        bool
	ZonedTimes            bool
	MissingMembers        bool // 404 for a number that is not a member's
	MaxTake               int  // a page has so many at the most; 0 means any number
	RefusalStatus         int  // status of what PAY refuses; 0 means 400
	NoLock                bool // a submit that arrived before another took effect pays as well
	Referrals             bool // enabled for the account; otherwise they are ignored
	ReferralsInTotal      bool // the total of a batch counts them
	UniqueReferences      bool // a second redemption of one reference is refused
}

// Errors is the form of an error's body.
type Errors int

// The forms of an error's body.
const (
	ErrorsModel  Errors = iota // the model that Redemptions documents
	ErrorsText                 // plain text
	ErrorsString               // a JSON string
)

// Payments is how the payments of a batch are listed.
type Payments int

// The ways to list payments.
const (
	PaymentsWhole Payments = iota // all of them, paging is ignored
	PaymentsCut                   // the first 1,000, paging is ignored
	PaymentsPaged                 // skip and take are honoured
)

// Added is what adding payments answers.
type Added int

// The answers to adding payments.
const (
	AddedSummary  Added = iota // the summary of the batch
	AddedPayments              // the payments that were added
	AddedNothing               // an empty body
)

// Server is the simulated 6DOT50. Its time, its ledger, the requests that
// arrived, and faults for any operation (Inject) are those of [batchsim.Kit]. The
// operations are named as in package sixdotfifty.
type Server struct {
	batchsim.Kit
	http.Handler
	URL string // the base URL of PAY: "http://127.0.0.1:41234/pay"

	options Options
	server  *batchsim.Server

	mu            sync.Mutex
	tokens        map[string]token
	issued, made  int             // tokens and payments, and batches
	outside       map[string]bool // mobile numbers that are not members
	organisations []*organisation // the first is that of Config
	accepted      map[string]int  // by external id
	word          string          // the status of every batch, if set
	merchant      merchant
}

// An organisation pays from an account of its own, and sees only its own
// batches.
type organisation struct {
	name    string            // the short name of its PAY account: the payer
	secrets map[string]string // by key
	batches []*run            // oldest first
	float   int64
	taken   map[string]bool // external ids of payments, where they stay
}

type token struct {
	api     string // "pay" or "redemptions"
	of      *organisation
	expires time.Time
}

// New starts a server. Close it.
func New(o *Options) *Server {
	s := &Server{tokens: make(map[string]token), outside: make(map[string]bool), accepted: make(map[string]int)}
	if o != nil {
		s.options = *o
	}
	if s.options.Key == "" {
		s.options.Key = "11111111-2222-3333-4444-555555555555"
	}
	if s.options.Secret == "" {
		s.options.Secret = "a-secret-of-the-simulator"
	}
	if s.options.ClaimWindow == 0 {
		s.options.ClaimWindow = 60 * 24 * time.Hour
	}
	if s.options.TokenLifetime == 0 {
		s.options.TokenLifetime = 15 * time.Minute
	}
	if s.options.TokenRefusal == 0 {
		s.options.TokenRefusal = http.StatusOK
	}
	if s.options.Float == 0 {
		s.options.Float = 1_000_000_00
	}
	s.organisation("ACME01").secrets[s.options.Key] = s.options.Secret
	for _, msisdn := range s.options.NonMembers {
		s.outside[msisdn] = true
	}
	s.Handler = s.Kit.Handler(append(s.pay(), s.redemptions()...), func(batchsim.Request) batchsim.Reply {
		return batchsim.Reply{Status: http.StatusNotFound}
	})
	if s.options.InMemory {
		s.server = batchsim.ListenInMemory(s.Handler)
	} else {
		s.server = batchsim.Listen(s.Handler)
	}
	s.URL = s.server.URL + "/pay"
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Config is the configuration of a client of PAY.
func (s *Server) Config() sixdotfifty.Config {
	return sixdotfifty.Config{Key: s.options.Key, Secret: s.options.Secret, BaseURL: s.URL,
		HTTPClient: s.server.HTTPClient()}
}

// Rotate gives the organisation of Config another key and secret, which Config
// returns from then on. What has the old ones, or a token of them, is refused. It
// is not safe beside Config.
func (s *Server) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.organisations[0]
	delete(o.secrets, s.options.Key)
	s.options.Key, s.options.Secret = "key-"+rand.Text(), "secret-"+rand.Text()
	o.secrets[s.options.Key] = s.options.Secret
	clear(s.tokens)
}

// Organisation is the configuration of a client of another organisation. Each
// call gives it a new key; the older ones stay valid.
func (s *Server) Organisation(name string) sixdotfifty.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, c := s.organisation(name), s.Config()
	c.Key = fmt.Sprintf("key-%d-of-%s", len(o.secrets)+1, name)
	c.Secret = "secret-of-" + c.Key
	o.secrets[c.Key] = c.Secret
	return c
}

// organisation returns the organisation of this name, and makes it if need be.
func (s *Server) organisation(name string) *organisation {
	for _, o := range s.organisations {
		if o.name == name {
			return o
		}
	}
	o := &organisation{name: name, secrets: make(map[string]string), float: s.options.Float,
		taken: make(map[string]bool)}
	s.organisations = append(s.organisations, o)
	return o
}

// RedemptionsConfig is the configuration of a client of Redemptions.
func (s *Server) RedemptionsConfig() sixdotfifty.RedemptionsConfig {
	return sixdotfifty.RedemptionsConfig{Key: s.options.Key, Secret: s.options.Secret, BaseURL: s.server.URL +
		"/redemptions",
		PageURL: s.server.URL + "/page", HTTPClient: s.server.HTTPClient()}
}

// Accepted counts, by external id, how often a payment was submitted: how
// often it was paid, or will be once its receiver joins.
func (s *Server) Accepted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := make(map[string]int, len(s.accepted))
	for item, times := range s.accepted {
		accepted[item] = times
	}
	return accepted
}

// Join makes the owner of a mobile number a member: what waits for them is
// paid.
func (s *Server) Join(msisdn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.outside, msisdn)
	s.settleAll()
}

// FinishAll makes everybody a member, so that every open batch closes.
func (s *Server) FinishAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.outside)
	s.settleAll()
}

// TopUp adds to the float of Config's organisation, in hundredths.
func (s *Server) TopUp(hundredths int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.organisations[0].float += hundredths
}

// SayStatus makes every later reply about a batch use this word; "" ends it.
func (s *Server) SayStatus(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

// RevokeTokens makes every token that was given out so far invalid.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Break makes the next request that can move money meet the scenario. What is
// refused is refused in documented words, whatever the options say.
func (s *Server) Break(scenario batchsim.Scenario) {
	s.Kit.Break("SubmitBatch", scenario, model(http.StatusBadRequest, "Insufficient funds"),
		model(http.StatusUnauthorized, "Unauthorized"))
}

// operation is one call of an API, behind its token.
func (s *Server) operation(api, name, method, path string,
	serve func(*organisation, batchsim.Request) batchsim.Reply) batchsim.Operation {
	return batchsim.Operation{Name: name, Method: method, Path: "/" + api + path,
		Serve: func(r batchsim.Request) batchsim.Reply {
			s.mu.Lock()
			defer s.mu.Unlock()
			bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			token := s.tokens[bearer]
			if !ok || token.api != api || !r.At.Before(token.expires) {
				return s.problem(http.StatusUnauthorized, "Unauthorized")
			}
			if len(r.Body) > 0 && !isJSON(r) {
				return s.problem(http.StatusBadRequest, "The media type must be application/json")
			}
			return serve(token.of, r)
		}}
}

func isJSON(r batchsim.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// getToken is the same in both APIs, except for its name.
func (s *Server) getToken(api, name string) batchsim.Operation {
	return batchsim.Operation{Name: name, Method: http.MethodPost, Path: "/" + api + "/authentication/getToken",
		Serve: func(r batchsim.Request) batchsim.Reply {
			s.mu.Lock()
			defer s.mu.Unlock()
			var in struct {
				Key    string `json:"key"`
				Secret string `json:"secret"`
			}
			if !isJSON(r) || !decode(r.Body, &in) {
				return s.problem(http.StatusBadRequest, "Invalid request")
			}
			of := slices.IndexFunc(s.organisations, func(o *organisation) bool {
				secret, ok := o.secrets[in.Key]
				return ok && secret == in.Secret
			})
			if of < 0 {
				return encode(s.options.TokenRefusal, map[string]any{"success": false})
			}
			if s.options.OneToken {
				clear(s.tokens)
			}
			now := s.Clock.Now()
			s.issued++
			bearer, expires := fmt.Sprintf("token-of-the-simulator-%d", s.issued), now.Add(s.options.TokenLifetime)
			s.tokens[bearer] = token{api, s.organisations[of], expires}
			reply := encode(http.StatusOK, map[string]any{"success": true, "token": bearer,
				"expiresAt": expires.UTC().Format("2006-01-02T15:04:05.999Z")})
			reply.Header.Set("Date", now.UTC().Format(http.TimeFormat))
			return reply
		}}
}

// problem is an error in the words of the service.
func (s *Server) problem(status int, message string) batchsim.Reply {
	if status == http.StatusBadRequest && s.options.RefusalStatus != 0 {
		status = s.options.RefusalStatus
	}
	switch s.options.Errors {
	case ErrorsString:
		return encode(status, message)
	case ErrorsText:
		return batchsim.Reply{Status: status, Header: http.Header{"Content-Type": {"text/plain"}},
			Body: []byte(message)}
	}
	return model(status, message)
}

// model is a general error in the documented model.
func model(status int, message string) batchsim.Reply {
	return encode(status, map[string]any{"statusCode": status, "errorCode": "0", "message": message,
		"validationErrors": []any{}})
}

// decode is strict: a misspelt field would otherwise be dropped in silence.
func decode(body []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v) == nil
}

func encode(status int, v any) batchsim.Reply {
	// What is encoded here can always be.
	text, _ := json.Marshal(v)
	return batchsim.JSON(status, string(text))
}
