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
	"slices"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/private"
)

// A Gate hosts files for the service, each under a URL that can be closed for
// good as long as it was not fetched. The service loads nothing that it has not
// fetched, so a gate decides what no call of the API can: whether a create whose
// reply was lost has had an effect.
//
// A URL is pending first. The first byte that is sent under it makes it fetched,
// a Revoke before that makes it revoked; one of the two comes first, once and
// for all, and also after a crash. At most one URL of a file is ever fetched.
type Gate interface {
	// Store keeps a file and returns a handle of it, which is not a secret:
	// it is not enough to fetch the file. The same name and content give the
	// same handle.
	Store(ctx context.Context, name string, file io.Reader) (handle string, err error)
	// Open returns a new URL of the file and revokes all earlier ones. If one
	// of those was fetched, it is ErrConflict.
	Open(ctx context.Context, handle string) (fileURL string, err error)
	// Revoke closes a URL. True means that not a byte of the file was sent
	// under it, nor ever will be; false, that it was fetched.
	Revoke(ctx context.Context, fileURL string) (bool, error)
	// State says what has become of the file, and changes nothing. A file that
	// the gate does not have is ErrNotFound.
	State(ctx context.Context, handle string) (FileState, error)
}

// FileState is what has become of a file behind a Gate.
type FileState struct {
	URL     FileURL   // the one that is pending or was fetched; empty if all are revoked
	Fetched time.Time // when its first byte was sent; zero if it was not fetched
}

// FileGate is a Gate on a directory of one machine, and the http.Handler that
// serves its files. Any number of processes may share the directory, on a file
// system whose rename is atomic.
//
// Put no cache in front of it. Files are never deleted, and may hold personal
// data: delete the directories of those that are finished, and know that this
// forgets that they were fetched.
type FileGate struct {
	dir  string
	base string
}

// NewFileGate returns a gate that keeps its files in dir, and serves them below
// publicURL: https, or http on a loopback host. The directory must exist, and no
// other user may be able to write to it or to one above it; PRODUCTION.md of
// package batch names the exceptions. Mount it there, with http.StripPrefix if that has a
// path.
func NewFileGate(dir, publicURL string) (*FileGate, error) {
	var faults []batch.FieldError
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	if dir != "" {
		dir = filepath.Clean(dir) // What is used is what is checked, also with .. after a link.
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		fault("dir", "is not a directory")
	} else if err := private.Directory(dir); err != nil {
		fault("dir", err.Error())
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
// the file system lets only one succeed. Files of other names are not the gate's.
const (
	gateContent = "content"
	gateRevoked = "revoked"  // no URL is open
	gatePending = ".pending" // after the token of the one open URL
	gateServed  = ".served"  // after the token of the one URL that was fetched; its time is that of the first byte
)

var (
	gateName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[a-z]{1,8}$`)
	gateHandle = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[0-9a-f]{32}\.[a-z]{1,8}$`) // name, digest, extension
	gateState  = regexp.MustCompile(`^(revoked|[A-Z2-7]{26}\.(pending|served))$`)
	gateURL    = regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}\.[0-9a-f]{32}\.[a-z]{1,8})/([A-Z2-7]{26})$`)
)

// Store keeps a file. The name is 1 to 64 of [A-Za-z0-9_-] and an extension.
func (g *FileGate) Store(ctx context.Context, fileName string, file io.Reader) (string, error) {
	if !gateName.MatchString(fileName) {
		return "", g.fail(batch.ErrInvalid, "Store", "the name is not a word with an extension", nil)
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

// Open returns a new URL for the file. It fails if the file was fetched.
func (g *FileGate) Open(_ context.Context, handle string) (string, error) {
	const op = "Open"
	if !g.has(handle) {
		return "", g.fail(batch.ErrInvalid, op, "there is no such file", nil)
	}
	token := rand.Text()
	for range 100 {
		state, err := g.state(handle)
		switch {
		case err != nil:
			return "", g.fail(batch.ErrUnavailable, op, "the state of the file cannot be read", err)
		case strings.HasSuffix(state, gateServed):
			return "", g.fail(batch.ErrConflict, op, "the file was fetched"+g.when(handle, state)+
				" under an earlier URL", nil)
		}
		err = os.Rename(g.path(handle, state), g.path(handle, token+gatePending))
		if errors.Is(err, fs.ErrNotExist) {
			continue // Another process was faster.
		}
		if err := errors.Join(err, syncDir(g.path(handle))); err != nil {
			return "", g.fail(batch.ErrUnavailable, op, "the state of the file cannot be changed", err)
		}
		return g.url(handle, token), nil
	}
	return "", g.fail(batch.ErrUnavailable, op, "too many others open the file", nil)
}

// Revoke closes fileURL. Revoking twice is fine.
func (g *FileGate) Revoke(_ context.Context, fileURL string) (bool, error) {
	path, ok := strings.CutPrefix(fileURL, g.base)
	match := gateURL.FindStringSubmatch(path)
	if !ok || match == nil || !g.has(match[1]) {
		return false, g.fail(batch.ErrInvalid, "Revoke", "the URL is not of this gate", nil)
	}
	served, err := g.decide(match[1], match[2], gateRevoked)
	if err != nil {
		return false, g.fail(batch.ErrUnavailable, "Revoke", "the state of the file cannot be changed", err)
	}
	return !served, nil
}

// State says what has become of the file.
func (g *FileGate) State(_ context.Context, handle string) (FileState, error) {
	const op = "State"
	if !g.has(handle) {
		return FileState{},
			g.fail(batch.ErrNotFound, op,
				"there is no such file: if there was one, it is not known whether it was fetched", nil)
	}
	state, err := g.state(handle)
	if err != nil {
		return FileState{}, g.fail(batch.ErrUnavailable, op, "the state of the file cannot be read", err)
	}
	token, word, _ := strings.Cut(state, ".")
	var file FileState
	if state != gateRevoked {
		file.URL = FileURL(g.url(handle, token))
	}
	if "."+word == gateServed {
		info, err := os.Lstat(g.path(handle, state))
		if err != nil {
			return FileState{}, g.fail(batch.ErrUnavailable, op, "the state of the file cannot be read", err)
		}
		file.Fetched = info.ModTime()
	}
	return file, nil
}

// decide makes of a pending URL what to says, and reports whether the URL then
// is served: whichever of two came first has decided.
func (g *FileGate) decide(handle, token, to string) (served bool, err error) {
	if _, err := g.state(handle); err != nil {
		return false, err // Two states: another URL may be served.
	}
	pending := g.path(handle, token+gatePending)
	now := time.Now()
	err = os.Chtimes(pending, now, now) // Before the rename, so that a state that is served has its time.
	if err == nil {
		err = os.Rename(pending, g.path(handle, to)) //nolint:gosec // gateURL lets no path through.
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	state, err := g.state(handle)
	if err != nil {
		return false, err
	}
	// Sync even after losing the race: the winner may have crashed before its own sync.
	return state == token+gateServed, syncDir(g.path(handle))
}

var errTwoStates = errors.New("the directory of the file holds two states")

// state returns the name of the one state file.
func (g *FileGate) state(handle string) (string, error) {
	for range 100 {
		files, err := os.ReadDir(g.path(handle))
		if err != nil {
			return "", err
		}
		var states []string
		for _, file := range files {
			if gateState.MatchString(file.Name()) {
				states = append(states, file.Name())
			}
		}
		switch len(states) {
		case 0: // It was renamed while the directory was read.
		case 1:
			return states[0], nil
		default:
			if !g.renamed(handle, states) {
				return "", errTwoStates
			}
		}
	}
	return "", fs.ErrNotExist
}

// renamed reports whether one of the states is gone: a directory that is read
// while a file in it is renamed may show both names.
func (g *FileGate) renamed(handle string, states []string) bool {
	return slices.ContainsFunc(states, func(state string) bool { return !exists(g.path(handle, state)) })
}

// when says when the file was fetched, as far as that is known.
func (g *FileGate) when(handle, state string) string {
	info, err := os.Lstat(g.path(handle, state))
	if err != nil {
		return ""
	}
	return " at " + info.ModTime().UTC().Format(time.RFC3339)
}

// ServeHTTP serves a file under its URL: 404 if there is none, and 410 if it
// is revoked. Only the first byte of the file decides: a reply without one, such
// as to HEAD or to a range outside the file, leaves the URL pending.
func (g *FileGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	match := gateURL.FindStringSubmatch(strings.TrimPrefix(r.URL.Path, "/"))
	if match == nil || !g.has(match[1]) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	handle, token := match[1], match[2]
	state, err := g.state(handle)
	if err == nil && state != token+gatePending && state != token+gateServed {
		http.Error(w, "gone", http.StatusGone)
		return
	}
	content, failed := os.Open(g.path(handle, gateContent)) //nolint:gosec // gateURL lets no path through.
	if failed == nil {
		defer func() { _ = content.Close() }()
	}
	if err != nil || failed != nil {
		http.Error(w, "the file cannot be served now", http.StatusServiceUnavailable)
		return
	}
	kind := mime.TypeByExtension(filepath.Ext(handle))
	if kind == "" {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	out := &gateWriter{ResponseWriter: w, decide: func() (bool, error) {
		if err := r.Context().Err(); err != nil {
			return false, err // The client has gone.
		}
		return g.decide(handle, token, token+gateServed)
	}}
	// Without a time there is nothing to revalidate.
	http.ServeContent(out, r, "", time.Time{}, content)
	switch {
	case out.status == 0:
	case r.Method == http.MethodHead:
		w.WriteHeader(out.status)
	default:
		out.refuse(errors.New("there is no byte to send"))
	}
}

// A gateWriter decides the state of a URL before the first byte of its file.
type gateWriter struct {
	http.ResponseWriter
	decide func() (served bool, err error)
	status int  // of a reply with bytes of the file, until the first one
	closed bool // the URL is not served: no byte may leave
}

var errClosed = errors.New("the URL is revoked")

// WriteHeader holds the header of a reply with bytes of the file back.
func (w *gateWriter) WriteHeader(status int) {
	if status == http.StatusOK || status == http.StatusPartialContent {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends bytes of the file if the URL is served.
func (w *gateWriter) Write(p []byte) (int, error) {
	if w.closed {
		return 0, errClosed
	}
	if w.status != 0 {
		served, err := w.decide()
		if w.closed = !served || err != nil; w.closed {
			w.refuse(err)
			return 0, errClosed
		}
		w.ResponseWriter.WriteHeader(w.status)
		w.status = 0
	}
	return w.ResponseWriter.Write(p)
}

// refuse answers in place of the file.
func (w *gateWriter) refuse(err error) {
	w.status = 0
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges"} {
		w.Header().Del(name)
	}
	if err != nil {
		http.Error(w.ResponseWriter, "the file cannot be served now", http.StatusServiceUnavailable)
		return
	}
	http.Error(w.ResponseWriter, "gone", http.StatusGone)
}

func (g *FileGate) url(handle, token string) string { return g.base + handle + "/" + token }

// has reports whether the gate has the file of this handle.
func (g *FileGate) has(handle string) bool {
	return gateHandle.MatchString(handle) && exists(g.path(handle, gateContent))
}

func (g *FileGate) path(elements ...string) string {
	return filepath.Join(append([]string{g.dir}, elements...)...)
}

// fail leaves out the paths in err: they hold the tokens.
func (g *FileGate) fail(kind batch.Kind, op, message string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, errTwoStates):
		kind = batch.ErrConflict // Trying again does not mend it.
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
