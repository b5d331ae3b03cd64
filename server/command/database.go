package command

import "dkv/resp"

func dbsize(c *Ctx) error {
	n, err := c.Tx.DBSize(c.DB)
	if err != nil {
		return err
	}
	c.Out.Int(n)
	return nil
}

func flushdb(c *Ctx) error {
	if err := c.checkFlushMode(); err != nil {
		return err
	}
	if _, err := c.Tx.FlushDB(c.DB); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func flushall(c *Ctx) error {
	if err := c.checkFlushMode(); err != nil {
		return err
	}
	if _, err := c.Tx.FlushAll(); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

// checkFlushMode accepts SYNC and ASYNC, which make no difference: a flush is a few
// range deletions.
func (c *Ctx) checkFlushMode() error {
	if len(c.Args) == 1 || len(c.Args) == 2 && (isWord(c.Args[1], "SYNC") || isWord(c.Args[1], "ASYNC")) {
		return nil
	}
	return resp.ErrSyntax
}

func swapdb(c *Ctx) error {
	a, err := c.intArg(1)
	if err != nil {
		return resp.ErrInvalidFirstDB
	}
	b, err := c.intArg(2)
	if err != nil {
		return resp.ErrInvalidSecondDB
	}
	if !validDB(a) || !validDB(b) {
		return resp.ErrDBIndexOutOfRange
	}
	c.Tx.SwapDB(int(a), int(b))
	c.Out.OK()
	return nil
}
