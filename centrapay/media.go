package centrapay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path"
	"regexp"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The documented purposes of a file. JSONL, the form of most batches, is taken by
// none of them.
const (
	PurposeBusinessOnboarding = "business-onboarding" // CSV, up to 50 KB
	PurposeBrandingLogo       = "branding-logo"       // JPEG or PNG, up to 512 KB
)

// purposes say what a file may be. Whether a KB is 1000 or 1024 bytes is not documented.
var purposes = map[string]struct {
	limit int
	kinds map[string]string // content type, by extension
}{
	PurposeBusinessOnboarding: {50_000, map[string]string{".csv": "text/csv"}},
	PurposeBrandingLogo: {512_000, map[string]string{".jpg": "image/jpeg", ".jpeg": "image/jpeg",
		".png": "image/png"}},
}

// MediaUpload is a file for Centrapay.
type MediaUpload struct {
	Purpose  string
	FileName string // "businesses.csv"; its extension says what the file is
	File     []byte
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]{0,99}$`)

// UploadMedia stores a file and returns its id. It loads nothing. It is sent at
// most once. On ErrAmbiguous, upload it again: at worst an unused file is left
// behind. The service calls it experimental. A file that is of another type or
// too large (FILE_TYPE_INVALID, FILE_TOO_LARGE) is ErrInvalid.
//
//	POST /api/media-uploads
func (c *Client) UploadMedia(ctx context.Context, m MediaUpload) (string, error) {
	var faults []batch.FieldError
	fault := func(field, format string, args ...any) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: fmt.Sprintf(format, args...)})
	}
	purpose, known := purposes[m.Purpose]
	kind := purpose.kinds[strings.ToLower(path.Ext(m.FileName))]
	switch {
	case !known:
		fault("purpose", "%.40q is not business-onboarding or branding-logo", m.Purpose)
	case kind == "":
		fault("file", "the extension of its name is not one that %s takes", m.Purpose)
	}
	if !fileName.MatchString(m.FileName) {
		fault("file", "its name must be 1 to 100 letters, digits, spaces and . _ -")
	}
	if n := len(m.File); n == 0 || known && n > purpose.limit {
		fault("file", "must have 1 to %d bytes; it has %d", purpose.limit, n)
	}
	if err := batch.Invalid(name, opUploadMedia.Name, faults); err != nil {
		return "", err
	}
	var body bytes.Buffer // Writes to it do not fail.
	form := multipart.NewWriter(&body)
	_ = form.WriteField("purpose", m.Purpose)
	part, _ := form.CreatePart(textproto.MIMEHeader{"Content-Type": {kind},
		"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, m.FileName)}})
	_, _ = part.Write(m.File)
	_ = form.Close()
	var reply struct {
		ID batchhttp.Maybe[string] `json:"id"`
	}
	err := c.http.Do(ctx, batchhttp.Call{Op: opUploadMedia, ContentType: form.FormDataContentType(), Body: body.Bytes(),
		Refusal: refusals{{http.StatusForbidden, "FILE_TYPE_INVALID", batch.ErrInvalid},
			{http.StatusForbidden, "FILE_TOO_LARGE", batch.ErrInvalid}}.read,
		Decode: func(body io.Reader) error {
			err := batchhttp.JSON(&reply)(body)
			if err == nil && !batchID.MatchString(reply.ID.Value) {
				err = errors.New("the reply has no id of an upload")
			}
			return err
		}})
	if err != nil {
		return "", withoutURL(err, "")
	}
	return reply.ID.Value, nil
}

// MediaLocation reads where an uploaded file is. The URL is a secret. For how long
// it is valid, and whether it may be the URL of a batch, is not documented: ask
// for it shortly before you need it. The service calls it experimental.
//
//	GET /api/media-uploads/{mediaUploadId}/location
func (c *Client) MediaLocation(ctx context.Context, id string) (FileURL, error) {
	var reply struct {
		URL batchhttp.Maybe[FileURL] `json:"url"`
	}
	err := c.read(ctx, batchhttp.Call{Op: opMediaLocation, Params: []string{id}, Decode: func(body io.Reader) error {
		err := batchhttp.JSON(&reply)(body)
		if fault := urlFault(string(reply.URL.Value)); err == nil && fault != "" {
			err = errors.New("the URL of the file " + fault)
		}
		return err
	}})
	return reply.URL.Value, err
}
