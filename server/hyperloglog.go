package server

import "dkv/server/command"

func init() {
	bind("pfselftest", func(_ *Conn, x *command.Ctx) error {
		if err := command.HLLSelfTest(); err != nil {
			return err
		}
		x.Out.OK()
		return nil
	})
}
