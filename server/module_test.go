package server

import "testing"

// Clients ask which modules there are, and are refused as by a Redis that does not let them load any.
func TestModule(t *testing.T) {
	const denied, load = "-" + string(errModuleDenied) + "\r\n", "-" + string(errModuleLoad) + "\r\n"
	c := dial(t, startServer(t))
	c.want("*0\r\n", "MODULE", "LIST")
	c.want(denied, "MODULE", "LOAD", "x.so", "arg")
	c.want(denied, "MODULE", "LOADEX", "x.so", "CONFIG", "a", "b", "ARGS", "c")
	c.want(denied, "MODULE", "UNLOAD", "x")
	c.want("-ERR wrong number of arguments for 'module|load' command\r\n", "MODULE", "LOAD")
	c.want("-ERR unknown subcommand 'nope'. Try MODULE HELP.\r\n", "MODULE", "nope")

	// Where they are allowed there is none to be loaded.
	c = dial(t, startServer(t, "enable-module-command", "local"))
	c.want(load, "MODULE", "LOAD", "x.so")
	c.want(load, "MODULE", "LOADEX", "x.so")
	c.want("-"+string(errModuleUnload)+"\r\n", "MODULE", "UNLOAD", "x")
}

// What a parameter forbids is refused before anything else is looked at: it is not queued, and
// who has not logged in hears of it too.
func TestProtectedCommands(t *testing.T) {
	s := startServer(t, "enable-debug-command", "no", "requirepass", "secret")
	c := dial(t, s)
	c.want("-"+string(errDebugDenied)+"\r\n", "DEBUG", "SLEEP", "0")
	c.want("-"+string(errModuleDenied)+"\r\n", "MODULE", "LOAD", "x")
	c.want(noLogin, "MODULE", "LIST")
	c.want(ok, "AUTH", "secret")
	for _, words := range [][]string{{"DEBUG", "SLEEP", "0"}, {"MODULE", "LOAD", "x"}} {
		c.want(ok, "MULTI")
		if got := c.do(words...); got[0] != '-' {
			t.Errorf("%s in MULTI: %q", words[0], got)
		}
		c.want("-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	}
	c.want("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", "SUBSCRIBE", "x")
	c.want("-"+string(errDebugDenied)+"\r\n", "DEBUG", "SLEEP", "0")
}
