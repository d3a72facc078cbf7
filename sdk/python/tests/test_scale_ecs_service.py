"""The policy without Wasm. Its decisions are compared with the Rust policy's by Balm's own tests; here are the SDK's promises."""

import json
import unittest

from balm_sdk import Failed
from balm_sdk.settings import schema
from balm_sdk.testing import Scene, scaled, service
from examples.scale_ecs_service import ScaleEcsService, Settings

WEB = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web"
API = "arn:aws:ecs:eu-central-1:123456789012:service/prod/api"
SETTINGS = {"minimum": 2, "maximum": 10}


def high() -> Scene:
    return Scene.firing("HighCpu").settings(SETTINGS)


class Decisions(unittest.TestCase):
    def test_a_firing_alert_adds_a_step_after_balm_was_asked_for_what_is_there(self):
        decision = high().service(WEB, service(4)).decide(ScaleEcsService)
        self.assertEqual((decision.intents[0].parameters, decision.look_again_after), ({"desired": 6}, 300))

    def test_several_targets_are_asked_for_in_one_round(self):
        decision = high().service(WEB, service(4)).service(API, service(10)).decide(ScaleEcsService)
        self.assertEqual([why.split()[0] for why in decision.because], ["web", "api"])

    def test_a_reading_that_failed_is_a_failure_and_not_a_guess(self):
        with self.assertRaisesRegex(Failed, "^ecs:service of .* could not be read: the scene gives no such reading$"):
            high().service(WEB).decide(ScaleEcsService)

    def test_what_is_on_its_way_is_waited_for(self):
        scene = high().service(WEB, service(4)).past(scaled(WEB, 2, 4, 5, "verifying"))
        self.assertEqual(scene.decide(ScaleEcsService).look_again_after, 15)


class SettingsOf(unittest.TestCase):
    def refused(self, settings) -> str:
        with self.assertRaises(Failed) as refused:
            Scene.firing("HighCpu").settings(settings).decide(ScaleEcsService)
        return str(refused.exception)

    def test_settings_are_refused_with_what_to_do(self):
        self.assertEqual(self.refused({"minimum": 1}), "settings: maximum is missing")
        self.assertEqual(self.refused({**SETTINGS, "minimum": 1.5}), "settings: minimum is no whole number")
        self.assertEqual(self.refused({**SETTINGS, "minimum": True}), "settings: minimum is no whole number")
        self.assertIn("is not between 0 and", self.refused({**SETTINGS, "minimum": -1}))
        self.assertEqual(self.refused({**SETTINGS, "low-alerts": "LowCpu"}), "settings: low-alerts is no list of texts")
        self.assertRegex(self.refused({**SETTINGS, "maxmum": 4}), '^there is no setting "maxmum"; there are minimum, ')
        self.assertEqual(self.refused([]), "settings must be a table")

    def test_the_schema_says_which_must_be_given(self):
        said = json.loads(schema(Settings))
        self.assertEqual(said["required"], ["minimum", "maximum"])
        self.assertEqual(said["properties"]["low-alerts"]["default"], [])


if __name__ == "__main__":
    unittest.main()
