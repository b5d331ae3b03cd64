package server

import (
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("module|list", func(_ *Conn, x *command.Ctx) error { x.Out.Array(0); return nil })
	bind("module|load", refuseLoad)
	bind("module|loadex", refuseLoad)
	bind("module|unload", refuseUnload)
	bind("module|help", help("MODULE",
		"LIST",
		"    Return a list of loaded modules.",
		"LOAD <path> [<arg> ...]",
		"    Load a module library from <path>, passing to it any optional arguments.",
		"LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
		"    Load a module library from <path>, while passing it module configurations and optional arguments.",
		"UNLOAD <name>",
		"    Unload a module."))
}

// What Redis says of a module that it cannot load, and of one that is not there.
const (
	errModuleLoad   resp.Error = "ERR Error loading the extension. Please check the server logs."
	errModuleUnload resp.Error = "ERR Error unloading module: no such module with that name"
	errModuleDenied resp.Error = "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)

func refuseLoad(*Conn, *command.Ctx) error   { return errModuleLoad }
func refuseUnload(*Conn, *command.Ctx) error { return errModuleUnload }

// protected returns why a command of an administrator is not for the client, by
// enable-debug-command and enable-module-command; "" when it is.
func (c *Conn) protected(spec *command.Spec) resp.Error {
	switch spec {
	case specDebug:
		return c.allows("enable-debug-command", errDebugDenied)
	case specModuleLoad, specModuleLoadEx, specModuleUnload:
		return c.allows("enable-module-command", errModuleDenied)
	}
	return ""
}

// allows returns "" when the parameter lets the client do what it is about.
func (c *Conn) allows(parameter string, otherwise resp.Error) resp.Error {
	switch c.srv.config.String(parameter) {
	case "yes":
		return ""
	case "local":
		if isLocal(c.nc.RemoteAddr()) {
			return ""
		}
	}
	return otherwise
}

var (
	specDebug        = command.Lookup([]byte("debug"))
	specModuleLoad   = command.Lookup([]byte("module")).Sub([]byte("load"))
	specModuleLoadEx = command.Lookup([]byte("module")).Sub([]byte("loadex"))
	specModuleUnload = command.Lookup([]byte("module")).Sub([]byte("unload"))
)
