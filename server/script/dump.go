package script

import (
	"errors"
	"strings"

	"dkv/resp"
	"dkv/server/command"
	"dkv/server/rdb"
)

const errBadDump resp.Error = "ERR DUMP payload version or checksum are wrong"

// dumpLibraries is FUNCTION DUMP.
func (e *Engine) dumpLibraries(c *command.Ctx) error {
	libs, err := readLibraries(c.Tx)
	if err != nil {
		return err
	}
	var b []byte
	for i := range libs {
		b = rdb.AppendFunction(b, []byte(libs[i].code))
	}
	c.Out.Bulk(rdb.AppendFooter(b, 0))
	return nil
}

// parseDump returns the source texts in a dump.
func parseDump(b []byte) (codes []string, err error) {
	total := 0
	err = rdb.Functions(b, maxLibraryBytes, func(code []byte) error {
		if total += len(code); total > maxLibraryBytes {
			return errTooManyLibBytes
		}
		codes = append(codes, string(code))
		return nil
	})
	switch {
	case err == nil:
		return codes, nil
	case errors.Is(err, errTooManyLibBytes):
		return nil, err
	case errors.Is(err, rdb.ErrPayload):
		return nil, errBadDump
	case errors.Is(err, rdb.ErrNoFunction):
		return nil, resp.Error("ERR given type is not a function")
	}
	return nil, resp.Error("ERR Failed loading library code")
}

// restoreLibraries is FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE].
func (e *Engine) restoreLibraries(c *command.Ctx) error {
	if len(c.Args) > 4 {
		return resp.ErrSubcommandSyntax(c.Args[1], "function")
	}
	policy := "append"
	if len(c.Args) == 4 {
		policy = strings.ToLower(string(c.Args[3]))
	}
	if policy != "flush" && policy != "append" && policy != "replace" {
		return resp.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
	}
	codes, err := parseDump(c.Args[2])
	if err != nil {
		return err
	}
	if policy == "flush" {
		if err := deleteRecords(c, libraryRecords); err != nil {
			return err
		}
	}
	for _, code := range codes {
		_, err := e.install(c, code, policy == "replace")
		var there alreadyThere
		if errors.As(err, &there) {
			return resp.Error("ERR Library " + string(there) + " already exists")
		}
		if err != nil {
			return err
		}
	}
	if err := writeDigest(c.Tx); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}
