// Package private says whether another user of the machine could have written a
// file, or could put another in its place.
//
// The rules are for Unix. Windows has access control lists instead of modes, and
// nothing is checked there.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// facts are what the rules go by.
type facts struct {
	mode     fs.FileMode
	uid, gid int
	links    uint64
}

// A user is who runs this process.
type user struct {
	uid    int
	groups []int
}

func us() user {
	groups, _ := os.Getgroups() // Without them no group is trusted.
	return user{os.Geteuid(), append(groups, os.Getegid())}
}

// Directory refuses a directory, and one above it, in which another user could
// replace a file: its owner must be root or this user, and others must not be
// able to write to it. One above it may be sticky. See shared for the exception.
func Directory(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return us().directory(path, true, 0)
}

func (u user) directory(path string, last bool, links int) error {
	parent := filepath.Dir(path)
	if parent != path {
		if err := u.directory(parent, false, links); err != nil {
			return err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	f, known := factsOf(info)
	if !known {
		return nil
	}
	if f.mode&fs.ModeSymlink == 0 {
		if fault := u.directoryFault(f, last); fault != "" {
			return fmt.Errorf(fault, path)
		}
		return nil
	}
	if f.uid != 0 && f.uid != u.uid {
		return fmt.Errorf("the link %s to its directory belongs to another user", path)
	}
	target, err := os.Readlink(path)
	switch {
	case err != nil:
		return err
	case links > 40:
		return fmt.Errorf("too many links lead to its directory %s", path)
	case !filepath.IsAbs(target):
		target = filepath.Join(parent, target)
	}
	return u.directory(target, last, links+1)
}

// directoryFault says what is wrong with a directory; %s is its path. In the last
// one, which holds the file, others must not even be able to add a file.
func (u user) directoryFault(f facts, last bool) string {
	others := f.mode.Perm() & 0o022
	switch {
	case f.uid != 0 && f.uid != u.uid:
		return "its directory %s belongs to another user, who can replace the file"
	case others == 0, f.mode&fs.ModeSticky != 0 && !last, u.shared(f), u.alone(f):
		return ""
	}
	return "others can write to its directory %s: chmod go-w it, or choose another"
}

// alone reports whether only this user's own group can write to a directory of
// this user. With a umask of 002, as many systems give to people, every directory
// is like that. The own group of a user has the same number as the user.
func (u user) alone(f facts) bool {
	return u.uid != 0 && f.uid == u.uid && f.gid == u.uid && f.mode.Perm()&0o002 == 0
}

// shared reports whether a directory is one that Kubernetes has prepared for the
// fsGroup of a pod: root owns it, it hands on its group, and this process is in
// that group. Who else is in the group is trusted.
func (u user) shared(f facts) bool {
	return f.uid == 0 && f.mode&fs.ModeSetgid != 0 && f.mode.Perm()&0o002 == 0 && slices.Contains(u.groups, f.gid)
}

// File refuses a file that is not regular, that has a second name, that belongs
// to another user, or that others can read or write. In a shared directory its
// group may: Kubernetes gives it to the fsGroup again and again. No file is fine.
func File(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file: name the file itself, and remove a link that is not yours")
	}
	file, known := factsOf(info)
	if !known {
		return nil
	}
	var directory facts
	if info, err := os.Stat(filepath.Dir(path)); err == nil {
		directory, _ = factsOf(info)
	}
	if fault := us().fileFault(file, directory); fault != "" {
		return errors.New(fault)
	}
	return nil
}

func (u user) fileFault(f, directory facts) string {
	forbidden := fs.FileMode(0o077)
	if u.shared(directory) && f.gid == directory.gid {
		forbidden = 0o007
	}
	switch {
	case f.uid != 0 && f.uid != u.uid:
		return "belongs to another user: run as the user who owns it"
	case f.links > 1:
		return "has a second name, a hard link: copy it, and remove both names once you trust its content"
	case f.mode.Perm()&forbidden != 0:
		return "others can read or write it: chmod 600 it once you trust its content"
	}
	return ""
}
