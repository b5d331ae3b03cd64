package command

import (
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// Migration is what MIGRATE asks for:
//
//	MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key ...]
//
// Source: https://redis.io/docs/latest/commands/migrate/
type Migration struct {
	Host, Port     string
	DB             int64         // of the target
	Timeout        time.Duration // for each step of the talk with the target
	Copy           bool          // the keys stay here
	Replace        bool          // keys of that name there are replaced
	User, Password []byte        // nil: none
	Keys           [][]byte
}

const (
	errMigrateKey resp.Error = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
	// defaultMigrateTimeout is in place of one that is not positive.
	defaultMigrateTimeout = time.Second
	maxMigrateMillis      = int64(1<<63-1) / int64(time.Millisecond)
)

// ParseMigration parses MIGRATE's arguments, its name included. Slices of the result
// are parts of args.
func ParseMigration(args [][]byte) (m Migration, err error) {
	m.Host, m.Port, m.Keys = string(args[1]), string(args[2]), args[3:4]
options:
	for i := 6; i < len(args); i++ {
		more := len(args) - 1 - i
		switch {
		case isWord(args[i], "COPY"):
			m.Copy = true
		case isWord(args[i], "REPLACE"):
			m.Replace = true
		case isWord(args[i], "AUTH") && more >= 1:
			m.Password = args[i+1]
			i++
		case isWord(args[i], "AUTH2") && more >= 2:
			m.User, m.Password = args[i+1], args[i+2]
			i += 2
		case isWord(args[i], "KEYS"):
			if len(args[3]) != 0 {
				return m, errMigrateKey
			}
			m.Keys = args[i+1:]
			break options
		default:
			return m, resp.ErrSyntax
		}
	}
	millis, ok := keyspace.ParseInt(args[5])
	if !ok {
		return m, resp.ErrNotInt
	}
	if m.DB, ok = keyspace.ParseInt(args[4]); !ok {
		return m, resp.ErrNotInt
	}
	m.Timeout = defaultMigrateTimeout
	if millis > 0 {
		m.Timeout = time.Duration(min(millis, maxMigrateMillis)) * time.Millisecond
	}
	return m, nil
}

// migrateKeys are MIGRATE's keys: the one in its place, or all after KEYS.
func migrateKeys(args [][]byte) (keys []KeyPosition) {
	const flags = KeyRW | KeyAccess | KeyDelete
	first, last := 3, 3
options:
	for i := 6; i < len(args); i++ {
		switch {
		case isWord(args[i], "AUTH"):
			i++
		case isWord(args[i], "AUTH2"):
			i += 2
		case isWord(args[i], "KEYS"):
			if len(args[3]) != 0 {
				return nil // a mistake, which is said when it is run
			}
			first, last = i+1, len(args)-1
			break options
		}
	}
	keys = []KeyPosition{}
	for i := first; i <= last; i++ {
		keys = append(keys, KeyPosition{Arg: i, Flags: flags})
	}
	return keys
}
