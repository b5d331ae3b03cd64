package server

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

func init() {
	bind("acl|load", aclLoad)
	bind("acl|save", aclSave)
}

const errNoACLFile resp.Error = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."

// newUsersVersion is the record that says that users have changed.
func newUsersVersion(total int64) []byte {
	b := make([]byte, 16, 24)
	rand.Read(b) // never fails
	return binary.BigEndian.AppendUint64(b, uint64(max(total, 0)))
}

// userBytes is what the records of all users take, as their version says.
func userBytes(version []byte) int64 {
	if len(version) != 24 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(version[16:]) & (1<<62 - 1))
}

// sorted returns all users by name.
func (u *users) sorted() []*acl.User {
	var list []*acl.User
	for _, a := range u.list() {
		if !a.gone.Load() {
			list = append(list, a.user.Load())
		}
	}
	slices.SortFunc(list, func(a, b *acl.User) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// initLocal reads the file of users, or the `user` lines, if there are any.
func (u *users) initLocal() error {
	lines, file := u.srv.config.userLines(), u.srv.config.String("aclfile")
	if file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(u.srv.config.String("dir"), file)
		}
		u.file = file
	}
	u.local = file != "" || len(lines) > 0
	if !u.local {
		return nil
	}
	if file != "" && len(lines) > 0 {
		return errors.New("users are defined in the config file and aclfile is set: use one of them")
	}
	u.srv.config.setUserLines(u.lines)
	u.change.Lock()
	defer u.change.Unlock()
	if file != "" {
		return u.loadLocked()
	}
	for _, words := range lines {
		user, err := u.parser().Set(acl.NewUser(words[0], u.parser().AllChannels), words[1:])
		if err != nil {
			return fmt.Errorf("user %s: %w", words[0], hidden(err))
		}
		u.putLocked(user)
	}
	return nil
}

// hidden is an error about a rule without the rule, which may be a password.
func hidden(err error) error {
	var bad *acl.RuleError
	if errors.As(err, &bad) {
		return bad.Err
	}
	return err
}

// lines are the `user` lines of a config file, for CONFIG REWRITE: none when the users are
// in a file of their own.
func (u *users) lines() []string {
	var lines []string
	if u.file == "" {
		for _, user := range u.sorted() {
			lines = append(lines, user.Line())
		}
	}
	return lines
}

// maxACLFile bounds a file of users, in bytes.
const maxACLFile = maxConfigFile

// loadLocked makes the users those of the file, or changes nothing.
func (u *users) loadLocked() error {
	info, err := os.Stat(u.file)
	if err == nil && info.Size() > maxACLFile {
		err = fmt.Errorf("it is larger than %d bytes", int64(maxACLFile))
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(u.file)
	}
	if err != nil {
		var sys *os.PathError
		if errors.As(err, &sys) {
			err = sys.Err
		}
		return fmt.Errorf("Error loading ACLs, opening file '%s': %w", u.file, err)
	}
	list, err := u.parser().ParseFile(u.file, string(text))
	if err != nil {
		return err
	}
	names := make(map[string]bool)
	for _, user := range list {
		names[user.Name()] = true
	}
	// As in Redis, all connections end but those of the default user.
	for _, a := range u.list() {
		if a != u.def {
			u.removeLocked(a.name)
		}
	}
	if !names[acl.DefaultName] {
		u.putLocked(acl.NewDefault())
	}
	for _, user := range list {
		u.putLocked(user)
	}
	return nil
}

// aclLoad is ACL LOAD.
func aclLoad(c *Conn, x *command.Ctx) error {
	u := &c.srv.users
	if u.file == "" {
		return errNoACLFile
	}
	defer c.endChange(c.beginChange())
	u.change.Lock()
	defer u.change.Unlock()
	if err := u.loadLocked(); err != nil {
		return resp.Error("ERR " + err.Error())
	}
	x.Out.OK()
	return nil
}

// aclSave is ACL SAVE.
func aclSave(c *Conn, x *command.Ctx) error {
	u := &c.srv.users
	if u.file == "" {
		return errNoACLFile
	}
	c.leave()
	u.change.Lock()
	defer u.change.Unlock()
	var b strings.Builder
	for _, user := range u.sorted() {
		b.WriteString(user.Line() + "\n")
	}
	mode := os.FileMode(0o600) // the hashes of passwords
	if info, err := os.Stat(u.file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := replaceFile(u.file, b.String(), mode); err != nil {
		c.srv.log.Warn("cannot save the file of users", "file", u.file, "err", err)
		return resp.Error("ERR There was an error trying to save the ACLs. Please check the server logs for more information")
	}
	x.Out.OK()
	return nil
}
