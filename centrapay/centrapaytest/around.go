package centrapaytest

import (
	"bytes"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/batchway/batchway-go/batch/batchsim"
)

const assetPage = 2 // assets on a page

// UserToken is the access token of a user of the account, which must be named
// in X-Centrapay-Account. It replaces the one before.
func (s *Server) UserToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.userToken = "example-token-" + s.newID()
	return s.userToken
}

func (s *Server) assetType() string {
	if s.options.Live {
		return "farmlands.nzd.main"
	}
	return "farmlands.nzd.test"
}

func (s *Server) listAssets(a *account, r batchsim.Request) batchsim.Reply {
	if r.PathValue("accountId") != a.id {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	query := r.URL.Query()
	items, next, from := []any{}, "", query.Get("pageKey")
	for _, id := range slices.Sorted(maps.Keys(a.assets)) {
		wanted := query.Get("externalId")
		switch {
		case wanted != "" && wanted != id && !s.options.IgnoresFilters:
		case from != "" && "key|"+id+"#" <= from:
		case len(items) == assetPage:
			next = "more"
		default:
			items = append(items, a.assets[id].wire(a, s.assetType()))
			query.Set("last", id)
		}
	}
	reply := map[string]any{"items": items}
	if next != "" {
		reply["nextPageKey"] = "key|" + query.Get("last") + "#"
	}
	return encode(http.StatusOK, reply)
}

func (s *Server) uploadMedia(_ *account, r batchsim.Request) batchsim.Reply {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return problem(http.StatusBadRequest, "", "content type must be multipart/form-data")
	}
	form, err := multipart.NewReader(bytes.NewReader(r.Body), params["boundary"]).ReadForm(1 << 20)
	if err != nil || len(form.Value["purpose"]) != 1 || len(form.File["file"]) != 1 {
		return problem(http.StatusBadRequest, "", "purpose and file are required")
	}
	file := form.File["file"][0]
	refused := func(word string) batchsim.Reply { return problem(http.StatusForbidden, "Forbidden", word) }
	switch extension, kind := path.Ext(file.Filename), file.Header.Get("Content-Type"); form.Value["purpose"][0] {
	case "business-onboarding":
		if extension != ".csv" || kind != "text/csv" {
			return refused("FILE_TYPE_INVALID")
		}
		if file.Size > 50_000 {
			return refused("FILE_TOO_LARGE")
		}
	case "branding-logo":
		if kind != "image/png" && kind != "image/jpeg" {
			return refused("FILE_TYPE_INVALID")
		}
		if file.Size > 512_000 {
			return refused("FILE_TOO_LARGE")
		}
	default:
		return problem(http.StatusBadRequest, "", "purpose is invalid")
	}
	f, err := file.Open()
	if err != nil {
		return problem(http.StatusBadRequest, "", "the file cannot be read")
	}
	defer func() { _ = f.Close() }()
	location, err := s.Upload(r.Context(), "", io.Reader(f))
	if err != nil {
		return problem(http.StatusBadRequest, "", "the file cannot be read")
	}
	id := s.newID()
	s.media[id] = location
	return encode(http.StatusOK, map[string]any{"id": id})
}

func (s *Server) mediaLocation(_ *account, r batchsim.Request) batchsim.Reply {
	location, known := s.media[r.PathValue("mediaUploadId")]
	if !known {
		return problem(http.StatusForbidden, "Forbidden", "Forbidden")
	}
	return encode(http.StatusOK, map[string]any{"url": location})
}

// An onboarding is a request for a business, by its external id.
type onboarding struct {
	payload string
	reply   map[string]any
}

var (
	account20 = regexp.MustCompile(`^\d\d-\d{4}-\d{7}-\d{2,3}$`)
	required  = []string{"legalName", "contactEmail", "merchant", "assetProgram"}
)

// onboard makes one request of the same payload under one external id, however
// often it comes.
func (s *Server) onboard(a *account, r batchsim.Request) batchsim.Reply {
	var in map[string]any
	if err := decode(r.Body, &in); err != nil {
		return problem(http.StatusBadRequest, "", "the body is malformed")
	}
	for _, field := range required {
		if in[field] == nil || in[field] == "" {
			return problem(http.StatusBadRequest, "", field+" is required")
		}
	}
	program, _ := in["assetProgram"].(map[string]any)
	params, _ := program["params"].(map[string]any)
	settlement, _ := params["settlementAccountNumber"].(string)
	id, _ := in["externalId"].(string)
	switch known, taken := s.onboarded[id]; {
	case !account20.MatchString(settlement):
		return problem(http.StatusBadRequest, "", "settlementAccountNumber is invalid")
	case program["assetProgramId"] == "unknown":
		return problem(http.StatusForbidden, "Forbidden", "INVALID_ASSET_PROGRAM")
	case id != "" && taken && known.payload == string(r.Body):
		return encode(http.StatusOK, known.reply)
	case id != "" && taken:
		return problem(http.StatusForbidden, "Forbidden", "DUPLICATE_EXTERNAL_ID")
	}
	channels, _ := in["salesChannels"].([]any)
	for _, channel := range channels {
		object, _ := channel.(map[string]any)
		params, _ := object["params"].(map[string]any)
		if params["vendor"] == "unknown" {
			return problem(http.StatusForbidden, "Forbidden", "INVALID_SALES_CHANNEL")
		}
		for _, field := range []string{"vendor", "reseller"} {
			if text, ok := params[field].(string); ok {
				params[field] = strings.ToLower(text) // As in the documented sample.
			}
		}
	}
	in["id"], in["status"], in["createdBy"] = "bo_"+s.newID(), "pending", a.id
	in["createdAt"] = s.Clock.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	s.invitations++
	if id == "" {
		id = in["id"].(string)
	}
	s.onboarded[id] = onboarding{string(r.Body), in}
	return encode(http.StatusOK, in)
}

// Onboarded counts the businesses that were asked for.
func (s *Server) Onboarded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.invitations
}

func (s *Server) getOnboarding(_ *account, r batchsim.Request) batchsim.Reply {
	for _, known := range s.onboarded {
		if known.reply["id"] == r.PathValue("id") {
			return encode(http.StatusOK, known.reply)
		}
	}
	return problem(http.StatusForbidden, "Forbidden", "Forbidden")
}
