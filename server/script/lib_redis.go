package script

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"dkv/resp"
	"dkv/server/command"
)

// What scripts are told of the server.
const (
	redisVersion       = "7.2.5"
	redisVersionNumber = 7<<16 | 2<<8 | 5
)

// openRedis defines redis. Functions of libraries have less of it than scripts.
func (s *state) openRedis(forFunctions bool) {
	list := map[string]func(frame) int{
		"call":          func(f frame) int { return f.command(true) },
		"pcall":         func(f frame) int { return f.command(false) },
		"error_reply":   redisErrorReply,
		"status_reply":  redisStatusReply,
		"sha1hex":       redisSHA1,
		"log":           redisLog,
		"setresp":       redisSetResp,
		"set_repl":      redisSetRepl,
		"acl_check_cmd": redisACLCheck,
	}
	if !forFunctions {
		list["replicate_commands"] = func(f frame) int {
			f.Push(lua.LTrue)
			return 1
		}
		list["breakpoint"] = func(f frame) int {
			f.Push(lua.LFalse)
			return 1
		}
		list["debug"] = func(frame) int { return 0 }
	}
	t := s.open("redis", list)
	for name, n := range map[string]float64{
		"LOG_DEBUG": 0, "LOG_VERBOSE": 1, "LOG_NOTICE": 2, "LOG_WARNING": 3, "REPL_NONE": 0, "REPL_AOF": 1, "REPL_SLAVE": 2,
		"REPL_REPLICA": 2, "REPL_ALL": 3, "REDIS_VERSION_NUM": redisVersionNumber,
	} {
		t.RawSetString(name, lua.LNumber(n))
	}
	t.RawSetString("REDIS_VERSION", lua.LString(redisVersion))
	s.handler = s.function("__redis__err__handler", errorHandler)
	if !forFunctions {
		s.globals.RawSetString("__redis__err__handler", s.handler)
	}
	s.empty = s.constant("return function() end")
}

// errorHandler makes a table of what was raised, which knows where that was.
func errorHandler(f frame) int {
	v := translated(f.Get(1))
	t, ok := v.(*lua.LTable)
	if !ok {
		t = f.NewTable()
		t.RawSetString("err", lua.LString("ERR "+text(v)))
	}
	source, line := position(f.LState, 1)
	if source == "" {
		source, line = position(f.LState, 2)
	}
	if source != "" && f.s.readonly[t] == nil {
		t.RawSetString("source", lua.LString("@"+source))
		t.RawSetString("line", lua.LNumber(line))
	}
	f.Push(t)
	return 1
}

// errorTable is an error as a value: {err = "CODE text"}.
func (s *state) errorTable(message string) *lua.LTable {
	t := s.L.CreateTable(0, 1)
	t.RawSetString("err", lua.LString(strings.TrimRight(message, "\r\n")))
	return t
}

// refuse raises, or returns, an error of redis.call.
func (f frame) refuse(message string, raise bool) int {
	t := f.s.errorTable(message)
	if raise {
		f.s.raise(f.LState, t)
	}
	f.Push(t)
	return 1
}

// command is redis.call, which raises errors, and redis.pcall, which returns them.
func (f frame) command(raise bool) int {
	r := f.s.run
	n := f.GetTop()
	if n == 0 {
		return f.refuse("ERR Please specify at least one argument for this redis lib call", raise)
	}
	f.spend(commandSteps)
	r.args, r.buf = r.args[:0], r.buf[:0]
	for i := 1; i <= n; i++ {
		from := len(r.buf)
		switch v := f.Get(i).(type) {
		case lua.LString:
			r.buf = append(r.buf, v...)
		case lua.LNumber:
			r.buf = appendArgument(r.buf, float64(v))
		default:
			return f.refuse("ERR Lua redis lib command arguments must be strings or integers", raise)
		}
		r.args = append(r.args, r.buf[from:len(r.buf):len(r.buf)])
	}
	f.charge(len(r.buf))
	if err := r.call(r.args); err != nil {
		return f.refuse(errorText(err), raise)
	}
	f.charge(len(r.out.Buf))
	reply := parser{s: f.s, b: r.out.Buf}
	v := reply.value()
	if t, ok := v.(*lua.LTable); ok && raise && r.out.Buf[0] == '-' {
		f.s.raise(f.LState, t)
	}
	f.Push(v)
	return 1
}

// commandSteps is what a call of a command counts at least.
const commandSteps = 16 * spendPerTick

// appendArgument appends a number as an argument of a command.
func appendArgument(b []byte, n float64) []byte {
	if n == math.Trunc(n) && n > math.MinInt64 && n < math.MaxInt64 {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendG(b, n, 17)
}

// errorText is an error's reply line.
func errorText(err error) string {
	var e resp.Error
	if errors.As(err, &e) {
		return string(e)
	}
	return string(resp.ErrInternal) + ": " + err.Error()
}

func redisErrorReply(f frame) int {
	str, ok := f.Get(1).(lua.LString)
	if f.GetTop() != 1 || !ok {
		return f.refuse("ERR wrong number or type of arguments", false)
	}
	// The text begins with the error's code; one word alone is no code.
	message := strings.TrimRight(strings.TrimPrefix(string(str), "-"), "\r\n")
	if !strings.Contains(message, " ") {
		message = "ERR " + message
	}
	return f.refuse(message, false)
}

func redisStatusReply(f frame) int {
	str, ok := f.Get(1).(lua.LString)
	if f.GetTop() != 1 || !ok {
		return f.refuse("ERR wrong number or type of arguments", false)
	}
	t := f.CreateTable(0, 1)
	t.RawSetString("ok", str)
	f.Push(t)
	return 1
}

func redisSHA1(f frame) int {
	if f.GetTop() != 1 {
		f.refuse("ERR wrong number of arguments", true)
	}
	str := ""
	if isText(f.Get(1)) {
		str = f.str(1)
	}
	f.spend(len(str) / 8)
	sum := sha1.Sum([]byte(str))
	return f.push(hex.EncodeToString(sum[:]))
}

var logLevels = []slog.Level{slog.LevelDebug, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn}

func redisLog(f frame) int {
	if f.GetTop() < 2 {
		f.refuse("ERR redis.log() requires two arguments or more.", true)
	}
	n, ok := f.Get(1).(lua.LNumber)
	if !ok {
		f.refuse("ERR First argument must be a number (log level).", true)
	}
	if n < 0 || int(n) >= len(logLevels) {
		f.refuse("ERR Invalid debug level.", true)
	}
	const most = 1024
	var words []string
	for i := 2; i <= f.GetTop(); i++ {
		if v := f.Get(i); isText(v) {
			words = append(words, text(v))
		}
	}
	message := strings.Join(words, " ")
	if r := f.s.run; r != nil {
		r.engine.o.Logger.Log(context.Background(), logLevels[int(n)], message[:min(len(message), most)], "script", r.name)
	}
	return 0
}

func redisSetResp(f frame) int {
	if f.GetTop() != 1 {
		f.refuse("ERR redis.setresp() requires one argument.", true)
	}
	n, ok := f.Get(1).(lua.LNumber)
	if !ok || n != 2 && n != 3 {
		f.refuse("ERR RESP version must be 2 or 3.", true)
	}
	f.s.run.proto = int(n)
	return 0
}

// redisSetRepl changes nothing: effects are logged.
func redisSetRepl(f frame) int {
	if f.GetTop() != 1 {
		f.refuse("ERR redis.set_repl() requires two arguments.", true)
	}
	if n, ok := f.Get(1).(lua.LNumber); !ok || n < 0 || n > 3 {
		f.refuse("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.", true)
	}
	return 0
}

// redisACLCheck says whether the user may run a command: there is one user, who may.
func redisACLCheck(f frame) int {
	if f.GetTop() == 0 {
		f.refuse("ERR Please specify at least one argument for this redis.acl_check_cmd() call", true)
	}
	name, ok := f.Get(1).(lua.LString)
	if !ok {
		f.refuse("ERR redis.acl_check_cmd() command arguments must be strings or integers", true)
	}
	if command.Lookup([]byte(name)) == nil {
		f.refuse("ERR Invalid command passed to redis.acl_check_cmd()", true)
	}
	f.Push(lua.LTrue)
	return 1
}
