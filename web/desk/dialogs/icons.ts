import type { IconName } from '../../kit/icons'
import type { StepKind } from './program'

export const stepIcon: Record<StepKind, IconName> = { say: 'message-square', ask: 'ask', branch: 'branch', set: 'pencil', call: 'webhook', wait: 'hourglass', hand: 'hand', run: 'workflow', end: 'stop' }
