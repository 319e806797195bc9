"""More requests than the KV cache has pages for: pages are promised more than once and taken back."""

import concurrent.futures
import unittest

import httpx

from server import SMALL, Server
from transformer_serve.scheduler import Overcommit

NO_END = {'0': -100, '2': -100}


def bodies(n, max_tokens):
    """Prompts from a few tokens to a few pages, some with several answers; every other one goes on to its limit."""
    out = []
    for i in range(n):
        body = {'model': 'small', 'prompt': f'{i} the river and the stone ' * (1 + i % 6 * 2), 'seed': i,
                'max_tokens': max_tokens - i % 5 * 40}
        if i % 2:
            body['logit_bias'] = NO_END
        if i % 4 == 1:
            body['n'] = 3 if i % 8 == 1 else 2
        if i % 3 == 0:
            body['logprobs'] = 2
        if i % 5 == 0:
            body['temperature'] = 0
        out.append(body)
    return out


class Pages(unittest.TestCase):
    def start(self, *arguments):
        server = Server(*arguments)
        self.addCleanup(server.close)
        return server

    def ask(self, server, body):
        answer = httpx.post(server.url + '/v1/completions', json=body, timeout=300)
        self.assertEqual(answer.status_code, 200, answer.text)
        return [(c['text'], c['finish_reason'], c['logprobs']) for c in answer.json()['choices']]

    def test_far_too_few(self):
        """40 requests that may need twenty times the pages there are: each has the answer that it has alone."""
        asked = bodies(40, 300)
        roomy = self.start('--kv-tokens', '32768', '--max-running', '16', '--overcommit', '1')
        alone = [self.ask(roomy, body) for body in asked]
        self.assertEqual(roomy.metric('preempted_total'), 0)
        roomy.close()
        for arguments in ((), ('--lookup-tokens', '3'), ('--max-step-tokens', '24')):
            with self.subTest(arguments):
                server = self.start('--kv-tokens', '1600', '--max-running', '40', '--max-waiting', '100',
                                    '--overcommit', '8', *arguments)
                with concurrent.futures.ThreadPoolExecutor(40) as pool:
                    together = list(pool.map(lambda body: self.ask(server, body), asked))
                for body, one, other in zip(asked, together, alone):
                    self.assertEqual(one, other, body)
                self.assertTrue(server.wait_for(server.is_empty))
                self.assertGreater(server.metric('preempted_total'), 0)
                useful = server.metric('prompt_tokens_total') + server.metric('generated_tokens_total')
                computed = server.metric('library_rows') - server.metric('library_n_proposed')
                print(f"{arguments}: preempted {server.metric('preempted_total'):.0f} times, "
                      f"{computed:.0f} rows for {useful:.0f} tokens, overcommit {server.metric('overcommit'):.2f}")
                self.assertLess(computed, 2 * useful)  # it doesn't spend its time computing again
                server.close()

    def test_none(self):
        """Without overcommitment nothing is ever taken back."""
        asked = bodies(16, 300)
        server = self.start('--kv-tokens', '1600', '--max-running', '40', '--overcommit', '1')
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda body: self.ask(server, body), asked))
        self.assertTrue(server.wait_for(server.is_empty))
        self.assertEqual(server.metric('preempted_total'), 0)

    def test_more_run(self):
        """Requests whose answers are short though their limit is high run side by side."""
        body = {'model': 'small', 'prompt': 'the', 'max_tokens': 900, 'stop': ['e'], 'logit_bias': NO_END}

        def steps(overcommit):
            server = self.start('--kv-tokens', '2048', '--max-sequence-tokens', '1024', '--overcommit', overcommit)
            with concurrent.futures.ThreadPoolExecutor(32) as pool:
                list(pool.map(lambda seed: self.ask(server, {**body, 'seed': seed}), range(64)))
            found = server.metric('steps_total')
            server.close()
            return found

        most, few = steps('1'), steps('8')
        print(f'{most:.0f} steps, {few:.0f} with overcommitment')
        self.assertLess(few, most * 0.75)

    def test_forks_have_room(self):
        """What a prompt will be forked into is not given to others meanwhile."""
        server = self.start('--max-running', '6', '--max-waiting', '100', '--max-step-tokens', '16')
        body = {'model': 'small', 'max_tokens': 8, 'logit_bias': NO_END}
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            found = list(pool.map(lambda seed: self.ask(server, {
                **body, 'seed': seed, 'n': 1 + seed % 5, 'prompt': f'{seed} the river ' * 12}), range(64)))
        self.assertEqual([len(answers) for answers in found], [1 + seed % 5 for seed in range(64)])
        self.assertTrue(server.wait_for(server.is_empty))

    def test_leaving(self):
        """Clients that go away while pages are short leave nothing behind."""
        server = self.start('--kv-tokens', '1024', '--max-running', '24', '--overcommit', '8')

        def leave(seed):
            body = {'model': 'small', 'prompt': 'the river ' * (1 + seed % 9), 'max_tokens': 700, 'seed': seed,
                    'stream': True, 'logit_bias': NO_END}
            with httpx.stream('POST', server.url + '/v1/completions', json=body, timeout=60) as response:
                for number, _ in enumerate(response.iter_lines()):
                    if number > 40 + seed * 20:
                        return

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(leave, range(24)))
        self.assertTrue(server.wait_for(server.is_empty))
        self.assertNotIn('Traceback', server.log())

    def test_factor(self):
        factor = Overcommit(4)
        for _ in range(5):
            factor.taken_back()
        self.assertEqual(factor.factor, 1)
        for _ in range(200):
            factor.ended()
        self.assertEqual(factor.factor, 4)


if __name__ == '__main__':
    unittest.main()
