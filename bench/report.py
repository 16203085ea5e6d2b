# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What a run leaves: rows in JSON, a table, a chart, and the commands behind each row."""
import json
import math
from xml.sax.saxutils import escape

FIELDS = ('bench', 'case', 'subject', 'peer', 'metric', 'subject_value', 'peer_value', 'ratio', 'better', 'fs',
          'samples')


class Report:
    def __init__(self):
        self.rows, self.commands = [], []

    def add(self, bench, case, subject, peer, metric, subject_value, peer_value, better, fs, samples):
        """One comparison; `ratio` is how many times better the subject is."""
        if subject_value <= 0 or peer_value <= 0:
            return
        ratio = peer_value / subject_value if better == 'lower' else subject_value / peer_value
        row = (bench, case, subject, peer, metric, rounded(subject_value), rounded(peer_value), rounded(ratio), better,
               fs, samples)
        self.rows.append(dict(zip(FIELDS, row)))

    def compare(self, bench, case, fs, contenders):
        """Each subject against each peer, wall and CPU time."""
        for contender in contenders:
            self.commands.append((bench, case, fs, contender))
        for subject in contenders:
            if not subject.subject or not subject.wall:
                continue
            for peer in contenders:
                if peer.subject or not peer.wall:
                    continue
                for metric in ('wall', 'cpu'):
                    self.add(bench, case, subject.name, peer.name, metric + '_s', subject.median(metric),
                             peer.median(metric), 'lower', fs, min(len(subject.wall), len(peer.wall)))

    def failed(self):
        return ['%s: %s (%s): %s' % (bench, contender.name, fs, contender.error)
                for bench, _, fs, contender in self.commands if contender.error and contender.subject]

    def keep(self, path):
        """Takes over from an earlier run the rows of benchmarks and file systems that this one did not measure."""
        measured = {(row['bench'], row['fs']) for row in self.rows}
        try:
            with open(path) as old:
                kept = [row for row in json.load(old) if (row['bench'], row['fs']) not in measured]
        except (OSError, ValueError):
            return
        self.rows = kept + self.rows

    def write_json(self, path):
        with open(path, 'w') as out:
            out.write('[\n' + ',\n'.join(json.dumps(row) for row in self.rows) + '\n]\n')

    def write_commands(self, path, append):
        with open(path, 'a' if append else 'w') as out:
            for bench, case, fs, contender in self.commands:
                out.write('%s | %s | %s | %s\n    %s\n' % (bench, case, fs, contender.name, contender.command))
                if contender.notes:
                    out.write('    note: %s\n' % contender.notes)
                if contender.wall:
                    out.write('    wall s: %s\n    cpu s:  %s\n' % (seconds(contender.wall), seconds(contender.cpu)))
                if contender.error:
                    out.write('    FAILED: %s\n' % contender.error)

    def table(self):
        """The rows as text: one line a comparison, wall and CPU side by side where both were taken."""
        lines = ['%-8s %-8s %-38s %-31s %-33s %10s %10s %8s %8s  %s' % (
            'bench', 'fs', 'case', 'ours', 'peer', 'ours', 'peer', 'ratio', 'cpu', 'samples')]
        cpu = {key(row): row for row in self.rows if row['metric'] == 'cpu_s'}
        for row in self.rows:
            if row['metric'] == 'cpu_s':
                continue
            twin = cpu.get(key(row))
            lines.append('%-8s %-8s %-38s %-31s %-33s %10s %10s %7.2fx %8s  %d' % (
                row['bench'], row['fs'], row['case'], row['subject'], row['peer'],
                value(row['subject_value'], row['metric']), value(row['peer_value'], row['metric']), row['ratio'],
                '%.2fx' % twin['ratio'] if twin else '', row['samples']))
        return '\n'.join(lines)

    def write_markdown(self, path):
        """The same table for a document."""
        cpu = {key(row): row for row in self.rows if row['metric'] == 'cpu_s'}
        with open(path, 'w') as out:
            out.write('| bench | fs | case | ours | peer | ours | peer | × | CPU × | n |\n'
                      '|---|---|---|---|---|--:|--:|--:|--:|--:|\n')
            for row in self.rows:
                if row['metric'] == 'cpu_s':
                    continue
                twin = cpu.get(key(row))
                out.write('| %s | %s | %s | %s | %s | %s | %s | %s%.2f%s | %s | %d |\n' % (
                    row['bench'], row['fs'], row['case'], row['subject'], row['peer'],
                    value(row['subject_value'], row['metric']), value(row['peer_value'], row['metric']),
                    '' if row['ratio'] >= 1 else '*', row['ratio'], '' if row['ratio'] >= 1 else '*',
                    '%.2f' % twin['ratio'] if twin else '', row['samples']))

    def write_svg(self, path):
        """Wall time, and CPU time of builds; how an operation grows is no comparison and has no bar."""
        growth = ('the same of', 'target')
        rows = [row for row in self.rows if row['metric'] != 'cpu_s' and not row['peer'].startswith(growth)]
        builds = [row for row in self.rows if row['metric'] == 'cpu_s' and row['bench'] == 'build']
        last = max([i for i, row in enumerate(rows) if row['bench'] == 'build'], default=-1)
        rows[last + 1:last + 1] = builds
        with open(path, 'w') as out:
            out.write(chart(rows))


def key(row):
    return row['bench'], row['case'], row['fs'], row['subject'], row['peer']


def rounded(number):
    return float('%.4g' % number)


def seconds(samples):
    return ' '.join('%.3f' % sample for sample in samples)


def value(number, metric):
    unit = metric.rsplit('_', 1)[-1]
    return '%s %s' % ('%.0f' % number if number >= 100 else '%.3g' % number, unit)


LEFT, WIDTH, BAR, GAP = 560, 460, 13, 4
AHEAD, BEHIND, INK, GREY, PAPER = '#1f7a5c', '#c2571a', '#1b1f24', '#8a9099', '#ffffff'


def chart(rows):
    """Horizontal bars of the ratio on a log scale: to the right of 1 we are ahead, to the left behind."""
    if not rows:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
    low = min([0.5] + [row['ratio'] for row in rows])
    high = max([2.0] + [row['ratio'] for row in rows])
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))

    def x(ratio):
        return LEFT + WIDTH * (math.log2(ratio) - first) / (last - first)

    body, y, group = [], 64, None
    for row in rows:
        title = '%s, %s%s' % (row['bench'], row['fs'], '' if row['metric'] == 'wall_s' else ' (%s)' % row['metric'])
        if title != group:
            group = title
            y += 24
            body.append(label(16, y, title, 14, INK, bold=True))
            y += 8
        ahead = row['ratio'] >= 1
        left, right = sorted((x(1), x(row['ratio'])))
        text = '%s: %s / %s' % (row['case'], row['subject'], row['peer'])
        body.append(label(LEFT - 10, y + BAR - 2, shorten(text, 84), 11, INK, 'end'))
        body.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s: %.3gx</title></rect>' % (
            left, y, max(right - left, 1), BAR, AHEAD if ahead else BEHIND, escape(text), row['ratio']))
        body.append(label(right + 6 if ahead else x(1) + 6, y + BAR - 2, '%.2fx' % row['ratio'], 11, INK))
        y += BAR + GAP
    bottom = y + 8
    grid = []
    step = 1 if last - first <= 12 else 2
    for power in range(first, last + 1, step):
        tick = '%g' % 2 ** power if power >= 0 else '1/%d' % 2 ** -power
        grid.append('<line x1="%.1f" y1="72" x2="%.1f" y2="%d" stroke="%s" stroke-width="%s"/>' % (
            x(2 ** power), x(2 ** power), bottom, INK if power == 0 else '#e3e6ea', '1.2' if power == 0 else '1'))
        grid.append(label(x(2 ** power), bottom + 15, tick, 11, GREY, 'middle'))
    head = [label(16, 28, 'libvrift against its peers', 18, INK, bold=True),
            label(16, 48, 'How many times better: median of interleaved samples, log scale.', 12, GREY),
            '<rect x="%d" y="36" width="12" height="12" fill="%s"/>' % (LEFT, AHEAD),
            label(LEFT + 18, 46, 'ahead', 12, INK),
            '<rect x="%d" y="36" width="12" height="12" fill="%s"/>' % (LEFT + 80, BEHIND),
            label(LEFT + 98, 46, 'behind', 12, INK)]
    width, height = LEFT + WIDTH + 70, bottom + 30
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'viewBox="0 0 %d %d" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n<rect width="%d" '
            'height="%d" fill="%s"/>\n%s\n</svg>\n' % (width, height, width, height, width, height, PAPER,
                                                      '\n'.join(head + grid + body)))


def label(x, y, text, size, colour, anchor='start', bold=False):
    return '<text x="%.1f" y="%d" font-size="%d" fill="%s" text-anchor="%s"%s>%s</text>' % (
        x, y, size, colour, anchor, ' font-weight="bold"' if bold else '', escape(text))


def shorten(text, most):
    return text if len(text) <= most else text[:most - 1] + '…'
