package centrapay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// A Gate hosts files for the service, each under a URL that can be closed for
// good as long as nobody has fetched it. The service loads nothing that it has
// not fetched, so a gate decides what no call of the API can: whether a create
// whose reply was lost has had an effect.
//
// A URL is pending first. The first fetch makes it served, a Revoke before
// that makes it revoked; one of the two comes first, once and for all, and
// also after a crash. At most one URL of a file is ever served.
type Gate interface {
	// Store keeps a file and returns a handle of it, which is no secret:
	// nobody can fetch the file with it. The same name and content give the
	// same handle.
	Store(ctx context.Context, name string, file io.Reader) (handle string, err error)
	// Open returns a new URL of the file and revokes all earlier ones. If one
	// of those was served, it is ErrConflict.
	Open(ctx context.Context, handle string) (fileURL string, err error)
	// Revoke closes a URL. True means that not a byte of the file was served
	// under it, nor ever will be; false, that it was fetched.
	Revoke(ctx context.Context, fileURL string) (bool, error)
}

// FileGate is a Gate on a directory of one machine, and the http.Handler that
// serves its files. Any number of processes may share the directory, on a file
// system whose rename is atomic.
//
// Put no cache in front of it. Files are never deleted, and may hold personal
// data: delete the directories of those that are finished, and know that this
// forgets that they were served.
type FileGate struct {
	dir  string
	base string
}

// NewFileGate returns a gate that keeps its files in dir, which must exist and
// be writable for its owner alone, and serves them below publicURL: https, or
// http on a loopback host. Mount it there, with http.StripPrefix if that has a
// path.
func NewFileGate(dir, publicURL string) (*FileGate, error) {
	var faults []batch.FieldError
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		fault("dir", "is no directory")
	} else if info.Mode().Perm()&0o022 != 0 {
		fault("dir", "can be written by others than its owner")
	}
	if message := urlFault(publicURL); message != "" {
		fault("publicURL", message)
	} else if strings.Contains(publicURL, "?") {
		fault("publicURL", "must not hold a query")
	}
	if err := batch.Invalid(name, "NewFileGate", faults); err != nil {
		return nil, err
	}
	return &FileGate{dir: dir, base: strings.TrimSuffix(publicURL, "/") + "/"}, nil
}

// A handle is a directory with two files: the content, and an empty one whose
// name is the state. Every change of state is a rename of the latter, of which
// the file system lets only one succeed.
const (
	gateContent = "content"
	gateRevoked = "revoked"  // no URL is open
	gatePending = ".pending" // after the token of the one open URL
	gateServed  = ".served"  // after the token of the one URL that was fetched
)

var (
	gateName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[a-z]{1,8}$`)
	gateHandle = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[0-9a-f]{32}\.[a-z]{1,8}$`) // name, digest, extension
	gateURL    = regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}\.[0-9a-f]{32}\.[a-z]{1,8})/([A-Z2-7]{26})$`)
)

// Store keeps a file. The name is 1 to 64 of [A-Za-z0-9_-] and an extension.
func (g *FileGate) Store(ctx context.Context, fileName string, file io.Reader) (string, error) {
	if !gateName.MatchString(fileName) {
		return "", g.fail(batch.ErrInvalid, "Store", "the name is no word with an extension", nil)
	}
	handle, err := g.store(ctx, fileName, file)
	if err != nil {
		return "", g.fail(batch.ErrUnavailable, "Store", "the file cannot be stored", err)
	}
	return handle, nil
}

func (g *FileGate) store(ctx context.Context, fileName string, file io.Reader) (string, error) {
	staging, err := os.MkdirTemp(g.dir, ".staging-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(staging) }()
	content, err := os.OpenFile(filepath.Join(staging, gateContent), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	_, err = io.Copy(io.MultiWriter(content, digest), contextReader{ctx, file})
	if err := errors.Join(err, content.Sync(), content.Close()); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(staging, gateRevoked), nil, 0o600); err != nil {
		return "", err
	}
	base, extension, _ := strings.Cut(fileName, ".")
	handle := base + "." + hex.EncodeToString(digest.Sum(nil)[:16]) + "." + extension
	if err := syncDir(staging); err != nil {
		return "", err
	}
	if err := os.Rename(staging, g.path(handle)); err != nil && !exists(g.path(handle, gateContent)) {
		return "", err
	}
	return handle, syncDir(g.dir)
}

// Open returns a new URL of the file, in whose place no other is open.
func (g *FileGate) Open(_ context.Context, handle string) (string, error) {
	const op = "Open"
	if !gateHandle.MatchString(handle) || !exists(g.path(handle, gateContent)) {
		return "", g.fail(batch.ErrInvalid, op, "there is no such file", nil)
	}
	token := rand.Text()
	for range 100 {
		state, err := g.state(handle)
		if err != nil {
			return "", g.fail(batch.ErrUnavailable, op, "the state of the file cannot be read", err)
		}
		if strings.HasSuffix(state, gateServed) {
			return "", g.fail(batch.ErrConflict, op, "the file was fetched under an earlier URL", nil)
		}
		err = os.Rename(g.path(handle, state), g.path(handle, token+gatePending))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Somebody else was faster.
		}
		if err := errors.Join(err, syncDir(g.path(handle))); err != nil {
			return "", g.fail(batch.ErrUnavailable, op, "the state of the file cannot be changed", err)
		}
		return g.base + handle + "/" + token, nil
	}
	return "", g.fail(batch.ErrUnavailable, op, "too many others open the file", nil)
}

// Revoke closes fileURL. Revoking twice is fine.
func (g *FileGate) Revoke(_ context.Context, fileURL string) (bool, error) {
	path, ok := strings.CutPrefix(fileURL, g.base)
	match := gateURL.FindStringSubmatch(path)
	if !ok || match == nil || !exists(g.path(match[1], gateContent)) {
		return false, g.fail(batch.ErrInvalid, "Revoke", "the URL is none of this gate", nil)
	}
	served, err := g.decide(match[1], match[2], gateRevoked)
	if err != nil {
		return false, g.fail(batch.ErrUnavailable, "Revoke", "the state of the file cannot be changed", err)
	}
	return !served, nil
}

// decide makes of a pending URL what to says, and reports whether the URL then
// is served: whoever came first has decided.
func (g *FileGate) decide(handle, token, to string) (served bool, err error) {
	err = os.Rename(g.path(handle, token+gatePending), g.path(handle, to)) //nolint:gosec // gateURL lets no path through.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	served = exists(g.path(handle, token+gateServed))
	// Also for the one who came second: the first may not have come to it.
	return served, syncDir(g.path(handle))
}

// state returns the name of the state file.
func (g *FileGate) state(handle string) (string, error) {
	for range 100 {
		files, err := os.ReadDir(g.path(handle))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if file.Name() != gateContent {
				return file.Name(), nil
			}
		}
		// It was renamed while the directory was read.
	}
	return "", fs.ErrNotExist
}

// ServeHTTP serves a file under its URL: 404 if there is none, and 410 if it
// is revoked. HEAD decides nothing, since its reply has no bytes of the file.
func (g *FileGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	match := gateURL.FindStringSubmatch(strings.TrimPrefix(r.URL.Path, "/"))
	if match == nil || !exists(g.path(match[1], gateContent)) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	handle, token := match[1], match[2]
	open := false
	switch r.Method {
	case http.MethodGet:
		served, err := g.decide(handle, token, token+gateServed)
		if err != nil {
			// Not a byte may leave before the decision is durable.
			http.Error(w, "the file cannot be served now", http.StatusServiceUnavailable)
			return
		}
		open = served
	case http.MethodHead:
		open = exists(g.path(handle, token+gatePending)) || exists(g.path(handle, token+gateServed))
	default:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if !open {
		http.Error(w, "gone", http.StatusGone)
		return
	}
	content, err := os.Open(g.path(handle, gateContent)) //nolint:gosec // gateURL lets no path through.
	if err != nil {
		http.Error(w, "the file cannot be served now", http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = content.Close() }()
	kind := mime.TypeByExtension(filepath.Ext(handle))
	if kind == "" {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	// Without a time there is nothing to revalidate: every reply has the bytes.
	http.ServeContent(w, r, "", time.Time{}, content)
}

func (g *FileGate) path(elements ...string) string {
	return filepath.Join(append([]string{g.dir}, elements...)...)
}

// fail leaves out the paths in err: they hold the tokens.
func (g *FileGate) fail(kind batch.Kind, op, message string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return &batch.Error{Kind: kind, Provider: name, Op: op, Message: message, Err: err}
}

func exists(path string) bool {
	_, err := os.Lstat(path) //nolint:gosec // Names are matched before.
	return err == nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // Names are matched before.
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
