#!/usr/bin/env python3
"""Records what `ipgeo` shows on a terminal, as SVG: a session with `ipgeo dev`, and the plan of a first deploy.

Usage: record.py IPGEO BOOTSTRAP FOLDER. It needs tmux. The plan is made at an emulator of AWS (ministack), which is installed into
a virtual environment below `target`. Every line was printed by a real run; API keys are held in a variable and never shown.
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS, ROWS = 80, 24
# Pixels: of a character, of a line, around the text, and of the bar above it.
CHAR, LINE, PAD, BAR = 8.43, 19, 18, 34
PROMPT = '$ '
ROOT = Path(__file__).resolve().parents[2]
# Colours of a terminal, as names of `templates/pages/drawing.css`.
COLOURS = ['soft', 'down', 'up', 'shaky', 'connect', 'dns', 'bar', 'ink']
API_KEY = re.compile(r'ipg_[0-9A-Za-z]{36}')


class Terminal:
    """A terminal of tmux with a shell."""

    def __init__(self, name, environment, folder, rows=ROWS):
        self.tmux = ['tmux', '-L', f'ipgeo-pictures-{os.getpid()}-{name}', '-f', '/dev/null']
        shell = ['env', '-i'] + [f'{key}={value}' for key, value in environment.items()] + ['bash', '--norc', '--noprofile']
        self.run('new-session', '-d', '-x', str(COLUMNS), '-y', str(rows), '-c', str(folder), *shell)
        self.run('set', '-g', 'status', 'off')
        self.wait(lambda text: text.rstrip() == PROMPT.rstrip())

    def run(self, *arguments):
        return subprocess.run([*self.tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def screen(self):
        return self.run('capture-pane', '-p', '-e')

    def text(self):
        return self.run('capture-pane', '-p')

    def wait(self, done, seconds=90):
        end = time.time() + seconds
        before = None
        while time.time() < end:
            text = self.text()
            if text == before and done(text):
                return
            before = text
            time.sleep(0.25)
        raise SystemExit(f'the expected output did not appear within {seconds} s:\n{self.text()}')

    def type(self, command):
        self.run('send-keys', '-l', command)
        self.wait(lambda text: command[-20:] in text.replace('\n', ''))

    def enter(self, done=lambda text: text.rstrip().endswith(PROMPT.rstrip())):
        self.run('send-keys', 'Enter')
        time.sleep(0.2)
        self.wait(done)

    def close(self):
        subprocess.run([*self.tmux, 'kill-server'], check=False)


def spans(line):
    """The parts of a line: column, text, classes. A new part begins at a colour and after two spaces."""
    column, classes, found = 0, set(), []
    for part in re.split(r'(\x1b\[[0-9;]*m)', line):
        if part.startswith('\x1b'):
            codes = [int(code or 0) for code in part[2:-1].split(';')]
            while codes:
                code = codes.pop(0)
                if code == 0:
                    classes = set()
                elif code == 1:
                    classes = classes | {'bold'}
                elif code == 2:
                    classes = classes | {'soft'}
                elif code in (22, 39):
                    classes = {name for name in classes if (name == 'bold') != (code == 22)}
                elif 30 <= code <= 37 or 90 <= code <= 97:
                    classes = (classes & {'bold'}) | {COLOURS[code % 10]}
                elif code == 38 and codes[:1] == [5]:
                    classes = (classes & {'bold'}) | {COLOURS[codes[1] % 8]}
                    codes = codes[2:]
            continue
        for piece in re.finditer(r'\S+(?: \S+)*', part):
            found.append((column + piece.start(), piece.group(), ' '.join(sorted(classes))))
        column += len(part)
    return found


def whole_lines(screen):
    """The lines of a screen, each with the colours that it begins with: tmux states only changes."""
    lines, colours = [], ''
    for line in screen.rstrip('\n').split('\n'):
        lines.append(colours + line)
        for code in re.findall(r'\x1b\[[0-9;]*m', line):
            colours = '' if code in ('\x1b[0m', '\x1b[m') else colours + code
    return lines


class Drawing:
    """Frames of one terminal; equal lines are drawn once."""

    def __init__(self, rows):
        self.lines, self.frames, self.rows = {}, [], rows

    def add(self, screen, seconds, title, typed=None):
        if API_KEY.search(screen):
            raise SystemExit('an API key is on the screen')
        self.frames.append((whole_lines(screen), seconds, title, typed))

    def line(self, text):
        if text not in self.lines:
            self.lines[text] = f'l{len(self.lines)}'
        return self.lines[text]

    def svg(self, description):
        width, height = round(COLUMNS * CHAR + 2 * PAD), self.rows * LINE + 2 * PAD + BAR
        total = sum(seconds for _, seconds, _, _ in self.frames)
        css, body, begin = [], [], 0.0
        for number, (lines, seconds, title, typed) in enumerate(self.frames):
            percent = lambda at: f'{at / total * 100:.2f}%'
            is_last = number + 1 == len(self.frames)
            if len(self.frames) > 1:
                hidden, end = 'visibility:hidden', percent(begin + seconds)
                first = f'0%{{{hidden}}}' if begin else ''
                last = '' if is_last else f'{end},100%{{{hidden}}}'
                css.append(f'@keyframes k{number}{{{first}{percent(begin)}{{visibility:visible}}{last}}}')
                css.append(f'.k{number}{{animation:k{number} {total:.1f}s step-end infinite}}')
            uses = [f'<text class="bar" x="{width / 2}" y="22">{html.escape(title)}</text>']
            uses += [f'<use href="#{self.line(line)}" y="{row * LINE}"/>' for row, line in enumerate(lines) if spans(line)]
            if typed:
                # A cover that moves to the right, with the cursor at its left edge.
                row, column, count = typed
                css.append(
                    f'@keyframes t{number}{{0%,{percent(begin)}{{transform:none;animation-timing-function:steps({count})}}'
                    f'{percent(begin + seconds * 0.8)},100%{{transform:translateX({count * CHAR:.0f}px)}}}}')
                css.append(f'.t{number}{{animation:t{number} {total:.1f}s infinite}}')
                x, y = PAD + column * CHAR, BAR + PAD + row * LINE
                uses.append(f'<g class="t{number}"><rect class="cover" x="{x:.1f}" y="{y}" width="{width}" height="{LINE}"/>'
                            f'<rect class="cursor" x="{x:.1f}" y="{y + 1}" width="{CHAR}" height="{LINE - 3}"/></g>')
            body.append(f'<g class="frame{" last" if is_last else ""} k{number}">' + '\n'.join(uses) + '</g>')
            begin += seconds
        palette = (ROOT / 'templates/pages/drawing.css').read_text().split('path.')[0].split('*/')[1]
        defs = '\n'.join(f'<g id="{name}">' + ''.join(
            f'<text{f""" class="{classes}" """.rstrip() if classes else ""} x="{PAD + column * CHAR:.1f}" y="{BAR + PAD + 14}">{html.escape(text)}</text>'
            for column, text, classes in spans(line)) + '</g>' for line, name in self.lines.items())
        colours = ''.join(f'.{name}{{fill:var(--{name})}}' for name in sorted(set(COLOURS)))
        return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(description)}">
<style>
{palette.strip()}
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", Consolas, monospace; fill: var(--ink); white-space: pre; }}
{colours}
text.bold {{ font-weight: 700; }}
text.bar {{ font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--soft); text-anchor: middle; }}
.window, .cover {{ fill: var(--card); }} .window {{ stroke: var(--line); }} .head {{ stroke: var(--line); }} .cursor {{ fill: var(--soft); }} .dot {{ fill: var(--track); }}
.frame {{ visibility: hidden; }} .last {{ visibility: visible; }}
{chr(10).join(css)}
@media (prefers-reduced-motion: reduce) {{ .frame, .frame * {{ animation: none; }} }}
</style>
<defs><clipPath id="inside"><rect x="2" y="2" width="{width - 4}" height="{height - 4}" rx="8"/></clipPath>
{defs}</defs>
<rect class="window" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9"/>
<path class="head" d="M0 {BAR}.5H{width}"/><circle class="dot" cx="20" cy="17" r="5.5"/><circle class="dot" cx="38" cy="17" r="5.5"/><circle class="dot" cx="56" cy="17" r="5.5"/>
<g clip-path="url(#inside)">
{chr(10).join(body)}
</g>
</svg>
'''


def command(drawing, terminal, text, title, seconds, done=None):
    """Types a command, runs it, and keeps both screens."""
    terminal.type(text)
    screen = terminal.text().rstrip('\n').split('\n')
    first = max(row for row, line in enumerate(screen) if line.startswith(PROMPT))
    drawing.add(terminal.screen(), max(1.2, len(text) * 0.055), title, (first, len(PROMPT), len(text)))
    terminal.enter(*([done] if done else []))
    drawing.add(terminal.screen(), seconds, title)


def session(folder, environment):
    drawing, title = Drawing(ROWS), 'a terminal'
    shutil.copy(ROOT / 'regions.toml', folder)
    dev, shell = Terminal('dev', environment, folder), Terminal('shell', environment, folder)
    try:
        command(drawing, dev, 'ipgeo dev', title, 6, lambda text: 'Ctrl-C' in text)
        title = 'a second terminal'
        command(drawing, shell, 'ipgeo lookup 8.8.8.8 81.2.69.142 --dev', title, 4)
        command(drawing, shell, 'KEY=$(ipgeo keys create --dev --owner acme --tier startup)', title, 4)
        command(drawing, shell, 'curl -H "x-api-key: $KEY" localhost:4170/1.1.1.1/city', title, 3)
        # Counted about a second after the answer.
        time.sleep(3)
        shell.type('clear')
        shell.enter()
        command(drawing, shell, 'ipgeo usage report --dev', title, 7)
    finally:
        dev.run('send-keys', 'C-c')
        time.sleep(2)
        dev.close()
        shell.close()
    return drawing.svg('Recording of a terminal: ipgeo dev, a lookup, a new API key, a call with it, and the usage report')


def plan(folder, environment, bootstrap):
    package = re.search(r'"(ministack==[\d.]+)"', (ROOT / 'cli/tests/support/ministack.rs').read_text()).group(1)
    venv = ROOT / 'target/pictures-python'
    python = venv / 'bin/python'
    if not python.exists():
        subprocess.run(['python3', '-m', 'venv', str(venv)], check=True)
        subprocess.run([str(python), '-m', 'pip', 'install', '--quiet', package], check=True)
    port = str(20_000 + os.getpid() % 20_000)
    serve = (ROOT / 'cli/tests/support/serve.py').read_text()
    emulator = subprocess.Popen([str(python), '-c', serve], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env={**environment, 'BIND_HOST': '127.0.0.1', 'GATEWAY_PORT': port, 'TMPDIR': str(folder)}, start_new_session=True)
    try:
        # The shipped file, for this machine's processor. The SDK's own variable names the emulator.
        text = (ROOT / 'regions.toml').read_text()
        architecture = {'x86_64': 'x86_64', 'aarch64': 'arm64'}[os.uname().machine]
        (folder / 'regions.toml').write_text(re.sub(r'(?m)^architecture = .*$', f'architecture = "{architecture}"', text))
        environment = {**environment, 'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}', 'AWS_ACCESS_KEY_ID': 'example', 'AWS_SECRET_ACCESS_KEY': 'example'}
        shutil.copy(bootstrap, folder / 'bootstrap')
        subprocess.run(['strip', str(folder / 'bootstrap')], check=False)
        subprocess.run(['ipgeo', 'geo', 'build', '--sample'], cwd=folder, env=environment, check=True, capture_output=True)
        terminal = Terminal('plan', environment, folder, rows=40)
        try:
            time.sleep(5)
            drawing = Drawing(0)
            terminal.type('ipgeo plan --artifact bootstrap')
            terminal.enter()
            lines = terminal.screen().rstrip('\n').split('\n')
            while re.sub(r'\x1b\[[0-9;]*m', '', lines[-1]).strip() in ('', PROMPT.strip()):
                lines.pop()
            drawing.rows = len(lines)
            drawing.add('\n'.join(lines), 1, 'ipgeo plan')
            return drawing.svg('Terminal: ipgeo plan lists what the first deploy to nine regions will add, wave by wave')
        finally:
            terminal.close()
    finally:
        emulator.stdin.close()
        emulator.wait(timeout=20)


def main():
    ipgeo, bootstrap, out = (Path(argument).resolve() for argument in sys.argv[1:4])
    for name, made in (('terminal', session), ('deploy-plan', lambda folder, environment: plan(folder, environment, bootstrap))):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / 'bin').mkdir()
            (Path(folder) / 'bin/ipgeo').symlink_to(ipgeo)
            environment = {'PATH': f'{folder}/bin:/usr/local/bin:/usr/bin:/bin', 'HOME': folder, 'TERM': 'tmux-256color', 'LANG': 'C.UTF-8', 'PS1': PROMPT}
            (out / f'{name}.svg').write_text(made(Path(folder), environment))


main()
