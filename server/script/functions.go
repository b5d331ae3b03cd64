package script

import (
	"dkv/resp"
	"dkv/server/command"
)

// libraries are the functions of a state.
type libraries struct{}

func (e *Engine) runFunctions(c *command.Ctx) error {
	return resp.ErrUnknownCommand(c.Args)
}
