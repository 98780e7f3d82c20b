package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"candor/study/report"
	"candor/study/runlog"
)

type reportCmd struct {
	Runs []string `arg:"" name:"run" help:"Run folders." type:"path"`
	JSON bool     `help:"Print claims.json instead of the table."`
}

// Help is shown by candor report --help.
func (reportCmd) Help() string {
	return `Examples:
  candor report runs/default           the claims again, and report.html written anew
  candor report runs/a runs/b --json   the claims of two runs, for a program`
}

// Run decides the claims again from the samples of each run and writes its page.
func (c *reportCmd) Run(_ context.Context, w *world) error {
	for i, dir := range c.Runs {
		if i > 0 {
			fmt.Fprintln(w.stdout)
		}
		if err := c.one(w, dir); err != nil {
			return err
		}
	}
	return nil
}

func (c *reportCmd) one(w *world, dir string) (err error) {
	if _, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json")); err != nil {
		return fmt.Errorf("%s is no run folder: %w", dir, err)
	}
	folder, err := runlog.Open(dir, w.clock, "candor report "+dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	in, err := report.Load(dir)
	if err != nil {
		return err
	}
	var ids []string
	for _, d := range in.Decisions {
		ids = append(ids, d.ID)
	}
	if in.Decisions, err = decide(folder, ids); err != nil {
		return err
	}
	if err := writeReport(folder, in); err != nil {
		return err
	}
	return printDecisions(w, dir, in, c.JSON)
}

func writeReport(folder *runlog.Folder, in report.Input) error {
	var page bytes.Buffer
	if err := report.WriteHTML(&page, in); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	return folder.WriteFile("report.html", page.Bytes())
}
